"""The twin as the console sees it: a question over MQTT, an answer of the class that was asked for."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from line.bus import Bus
from line.errors import LinkError, MessageError, NotFoundError
from line.queries import Answer, AnyAnswer, Question, Unknown
from line.topics import Topics

DEADLINE_S = 5.0

_A = TypeVar("_A", bound=Answer)
_decoder = msgspec.json.Decoder(AnyAnswer)


class Twin:
    """Asks the twin of one line."""

    def __init__(self, bus: Bus, topics: Topics, deadline_s: float = DEADLINE_S) -> None:
        self._bus = bus
        self._topic = topics.question("twin", "ask")
        self._deadline_s = deadline_s

    async def ask(self, question: Question, kind: type[_A]) -> _A:
        """The answer to a question.

        Raises:
            NotFoundError: the twin does not know the thing asked for.
            DeadlineError: no answer in time.
            LinkError: the broker is away, so nobody can be asked.
            MessageError: the answer is of another class than the question wants.
        """
        if not self._bus.connected.is_set():
            raise LinkError(f"the broker is away ({self._bus.refusal or 'not connected'}); the console keeps trying")
        payload = await self._bus.ask(self._topic, msgspec.json.encode(question), deadline_s=self._deadline_s)
        try:
            answer = _decoder.decode(payload)
        except msgspec.DecodeError as error:
            raise MessageError(f"the twin's answer to {type(question).__name__} cannot be read: {error}") from error
        if isinstance(answer, Unknown):
            raise NotFoundError(answer.detail)
        if not isinstance(answer, kind):
            raise MessageError(f"the twin answered {type(answer).__name__} where {kind.__name__} was asked for")
        return answer
