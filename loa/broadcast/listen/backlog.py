"""The last pages of a stream: what joiners begin with, and what slow listeners have yet to get."""

from __future__ import annotations

from bisect import bisect_right


class Backlog:
    """The newest pieces of a stream of bytes. A place in it is a number of bytes since its beginning."""

    def __init__(self, most: int) -> None:
        """Keep the `most` last pieces (at least 1)."""
        if most < 1:
            raise ValueError(f"a backlog of {most} pieces")
        self._most = most
        self._pieces: list[bytes] = []
        self._starts: list[int] = []
        self.end = 0
        """The place behind the newest byte."""

    @property
    def start(self) -> int:
        """The place of the oldest byte that is kept."""
        return self._starts[0] if self._starts else self.end

    def append(self, piece: bytes) -> None:
        """Add to the end; what is too old is forgotten."""
        if not piece:
            return
        self._pieces.append(piece)
        self._starts.append(self.end)
        self.end += len(piece)
        if len(self._pieces) > self._most:
            del self._pieces[0], self._starts[0]

    def since(self, place: int) -> bytes | None:
        """All from this place on; None when some of it is forgotten, or was never there."""
        if not self.start <= place <= self.end:
            return None
        if place == self.end:
            return b""
        first = bisect_right(self._starts, place) - 1
        head = self._pieces[first][place - self._starts[first] :]
        return b"".join((head, *self._pieces[first + 1 :]))

    def place_of_last(self, pieces: int) -> int:
        """Where the last so many pieces begin, or all that are kept."""
        return self._starts[max(0, len(self._starts) - pieces)] if self._starts and pieces > 0 else self.end
