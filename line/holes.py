"""What a reader has of each source's numbered events, and what is missing between them."""

from __future__ import annotations


class Sequence:
    """The numbers seen of one source. They come in any order; each counts once.

    Args:
        complete: all numbers up to this one are known.
    """

    def __init__(self, complete: int = 0) -> None:
        self.complete = complete
        """The highest number up to which nothing is missing."""
        self._ahead: set[int] = set()
        self._expected = complete

    def expect(self, number: int) -> None:
        """The source says that all numbers up to this one exist."""
        self._expected = max(self._expected, number)

    def note(self, number: int) -> None:
        """A number was seen."""
        if number > self.complete:
            self._ahead.add(number)
        while self.complete + 1 in self._ahead:
            self.complete += 1
            self._ahead.remove(self.complete)

    def missing(self) -> range:
        """The first hole, empty when there is none."""
        end = min(self._ahead) if self._ahead else self._expected + 1
        return range(self.complete + 1, end)

    def missing_count(self) -> int:
        """All numbers that are missing below the highest one seen."""
        highest = max(self._expected, *self._ahead, self.complete)
        return highest - self.complete - len(self._ahead)
