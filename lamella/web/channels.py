"""A channel: one thing that pages watch, its value now, and who watches. Pure: no wires, no clock of its own.

A watcher gets a snapshot, then deltas numbered by the channel. A delta carries `prev`, the number the watcher has been
brought to before, so that a page sees a hole. A watcher that is slower than the channel gets fewer, larger deltas:
values win by being the latest, list items (defects, events) are kept one by one until `ITEMS_LIMIT` of them wait, then
the watcher gets a snapshot instead. So a queue never grows and a defect is never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from lamella.web.outside import Json, JsonObject

ITEMS_LIMIT = 2_000
"""List items that may wait for one watcher of one channel."""
GRACE_S = 10.0
"""An item pushed by an event stays this long although the twin's answers do not hold it yet."""

_EMPTY: Mapping[str, str] = {}


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """What one watcher of one channel has not been sent yet."""

    seen: int = 0
    snapshot: bool = True
    values: JsonObject = field(default_factory=dict)
    items: dict[str, dict[str, JsonObject]] = field(default_factory=dict)

    def clear(self) -> None:
        self.values, self.items = {}, {}

    def count(self) -> int:
        return sum(len(items) for items in self.items.values())


class Watcher:
    """One page's side of its channels. `wake` is called whenever there is something to take."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: dict[str, _Waiting] = {}
        self._channels: dict[str, Channel] = {}
        self._notices: dict[str, JsonObject] = {}

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels watched."""
        return tuple(self._channels)

    def watch(self, channel: Channel) -> None:
        """Begin with a snapshot; watching twice asks for another one."""
        self._channels[channel.name] = channel
        self._waiting[channel.name] = _Waiting()
        channel.watchers.add(self)
        self._wake()

    def leave(self, name: str) -> None:
        """Watch a channel no longer."""
        channel = self._channels.pop(name, None)
        self._waiting.pop(name, None)
        if channel is not None:
            channel.watchers.discard(self)

    def notice(self, kind: str, message: JsonObject) -> None:
        """Something outside the channels; a later one of the same kind replaces it."""
        self._notices[kind] = message
        self._wake()

    def merge(self, name: str, values: JsonObject, items: Mapping[str, Mapping[str, JsonObject]]) -> None:
        """Take over what changed in a channel."""
        waiting = self._waiting[name]
        if not waiting.snapshot:
            waiting.values.update(values)
            for key in values:
                waiting.items.pop(key, None)
            for key, found in items.items():
                waiting.items.setdefault(key, {}).update(found)
            if waiting.count() > ITEMS_LIMIT:
                self.resnapshot(name)
        self._wake()

    def resnapshot(self, name: str) -> None:
        """Send the whole value next."""
        waiting = self._waiting[name]
        waiting.clear()
        waiting.snapshot = True
        self._wake()

    def take(self) -> list[bytes]:
        """What is to be sent now, as JSON texts."""
        messages: list[JsonObject] = list(self._notices.values())
        self._notices = {}
        for name, waiting in self._waiting.items():
            channel = self._channels[name]
            if waiting.snapshot:
                value = channel.value
                if value is None:
                    continue
                messages.append({"op": "snapshot", "ch": name, "seq": channel.seq, "data": value})
                waiting.snapshot = False
            elif waiting.values or waiting.items:
                add: JsonObject = {key: list(items.values()) for key, items in waiting.items.items()}
                head: JsonObject = {"op": "delta", "ch": name, "seq": channel.seq, "prev": waiting.seen}
                messages.append(head | {"set": waiting.values, "add": add})
            else:
                continue
            waiting.clear()
            waiting.seen = channel.seq
        return [msgspec.json.encode(message) for message in messages]


class Channel:
    """One thing that pages watch.

    Args:
        name: `line`, `roll:<id>`, ...
        lists: keys of the value whose items have an identity, and the field that is it.
        keep: lists that only keep their latest so many items.
        value: what to begin with; None waits for the first `replace`.
    """

    def __init__(
        self,
        name: str,
        lists: Mapping[str, str] = _EMPTY,
        keep: Mapping[str, int] | None = None,
        value: JsonObject | None = None,
    ) -> None:
        self.name = name
        self.seq = 0
        self.watchers: set[Watcher] = set()
        self._lists = lists
        self._keep = keep or {}
        self._values: JsonObject | None = None
        self._tables: dict[str, dict[str, JsonObject]] = {key: {} for key in lists}
        self._pushed_s: dict[tuple[str, str], float] = {}
        if value is not None:
            self.replace(value, 0.0)

    @property
    def value(self) -> JsonObject | None:
        """The whole value now, None before there is one."""
        if self._values is None:
            return None
        return self._values | {key: list[Json](table.values()) for key, table in self._tables.items()}

    def replace(self, new: JsonObject, now_s: float) -> bool:
        """Take the twin's word for the whole; watchers get what differs. Returns whether anything but age does."""
        tables = {key: self._table(key, new.get(key)) for key in self._lists}
        values = {key: value for key, value in new.items() if key not in self._lists}
        if self._values is None:
            self._values, self._tables, self.seq = values, tables, self.seq + 1
            for watcher in self.watchers:
                watcher.resnapshot(self.name)
            return True
        self._pushed_s = {key: at_s for key, at_s in self._pushed_s.items() if now_s - at_s < GRACE_S}
        items = {}
        changed = {key: value for key, value in values.items() if self._values.get(key, _NOTHING) != value}
        self._values.update(changed)
        for key, table in tables.items():
            old = self._tables[key]
            for identity, item in old.items():
                if (key, identity) in self._pushed_s and _revision(table.get(identity)) < _revision(item):
                    table[identity] = item
            self._tables[key] = table
            if old.keys() - table.keys():
                changed[key] = list[Json](table.values())
            elif found := {identity: item for identity, item in table.items() if old.get(identity) != item}:
                items[key] = found
        self._tell(changed, items)
        return bool((changed.keys() - {"fresh"}) or items)

    def update(self, values: JsonObject) -> None:
        """Set some values that are no lists with identities."""
        if self._values is None:
            return
        changed = {key: value for key, value in values.items() if self._values.get(key, _NOTHING) != value}
        self._values.update(changed)
        self._tell(changed, {})

    def push(self, key: str, item: JsonObject, now_s: float) -> None:
        """An item that an event brought: new, or a later word on a known one."""
        if self._values is None:
            return
        table = self._tables[key]
        identity = str(item[self._lists[key]])
        known = table.get(identity)
        if known == item or _revision(known) > _revision(item):
            return
        table[identity] = item
        while len(table) > self._keep.get(key, len(table)):
            del table[next(iter(table))]
        self._pushed_s[key, identity] = now_s
        self._tell({}, {key: {identity: item}})

    def item(self, key: str, identity: str) -> JsonObject | None:
        """An item of a list by its identity."""
        return self._tables[key].get(identity)

    def _table(self, key: str, value: Json) -> dict[str, JsonObject]:
        items = value if isinstance(value, list) else []
        return {str(each[self._lists[key]]): each for each in items if isinstance(each, dict)}

    def _tell(self, values: JsonObject, items: Mapping[str, Mapping[str, JsonObject]]) -> None:
        if values or items:
            self.seq += 1
            for watcher in self.watchers:
                watcher.merge(self.name, values, items)


_NOTHING: Json = "\0nothing"
"""Differs from every value on the wire."""


def _revision(item: JsonObject | None) -> float:
    """The revision of an item; 0 of one without revisions, -1 of none."""
    if item is None:
        return -1
    revision = item.get("revision", 0)
    return revision if isinstance(revision, (int, float)) else 0
