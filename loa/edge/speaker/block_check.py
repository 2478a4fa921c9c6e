"""Which frames the origin has signed for (docs/protocol.md, *Signed blocks*)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from loa.codecs.block_wire import Block, open_block
from loa.errors import WireError


class Cover(Enum):
    """What the verified blocks say of a frame."""

    SIGNED = "signed"
    UNKNOWN = "unknown"  # no block has come for it yet
    FALSE = "false"  # the origin sent another frame under this index


class BlockCheck:
    """The hashes of verified blocks, from `first` on; at most `capacity` frames ahead of it."""

    def __init__(
        self, block_key: bytes, ssrc: int, index0: int, block_frames: int, *, end: int | None, capacity: int
    ) -> None:
        """`ssrc`: of the sound. The rest as the tune order says; `block_frames` 1 to 32."""
        self.open: Callable[[bytes, int, bytes], Block] = open_block
        self._key = block_key
        self._ssrc = ssrc
        self._index0 = index0
        self._block_frames = block_frames
        self._capacity = capacity
        self._first = index0
        self._hashes: dict[int, bytes] = {}
        self.end = end

    def block_of(self, index: int) -> int:
        """The number of the block that covers a frame."""
        return (index - self._index0) // self._block_frames

    def last_frame(self, block: int) -> int:
        """The last frame that a block covers."""
        last = self._index0 + (block + 1) * self._block_frames - 1
        return last if self.end is None else min(last, self.end - 1)

    def take(self, number: int, payload: bytes) -> Block:
        """Verify the payload of block packet `number` and keep its hashes. WireError when it is malformed or covers
        other frames than its number says, AuthorityError when the block key did not sign it."""
        block = self.open(self._key, self._ssrc, payload)
        if (
            block.first_index != self._index0 + number * self._block_frames
            or len(block.hashes) > self._block_frames
        ):
            raise WireError(f"block {number} covers other frames")
        for at, hash_ in enumerate(block.hashes):
            index = block.first_index + at
            if self._first <= index < self._first + self._capacity:
                self._hashes.setdefault(index, hash_)
        return block

    def cover(self, index: int, hash_: bytes) -> Cover:
        """Whether a frame with this hash is the origin's."""
        held = self._hashes.get(index)
        if held is None:
            return Cover.UNKNOWN
        return Cover.SIGNED if held == hash_ else Cover.FALSE

    def pass_to(self, first: int) -> None:
        """Frames below `first` are over."""
        if first - self._first > len(self._hashes):
            self._hashes = {index: hash_ for index, hash_ in self._hashes.items() if index >= first}
        else:
            for index in range(self._first, first):
                self._hashes.pop(index, None)
        self._first = max(self._first, first)
