"""Many sockets as one array of write requests for the kernel, aimed at a page by Python in a few steps for all."""

from __future__ import annotations

from array import array

_WORDS = 8  # of 64 bits: struct iocb of linux/aio_abi.h, on a little-endian machine
_OPERATION, _ADDRESS, _SIZE = 2, 3, 4
_IOCB_CMD_PWRITE = 1
_FIRST_ROWS = 64


class SocketTable:
    """Rows of file descriptors, without holes. It owns none of them."""

    def __init__(self) -> None:
        self.fds: list[int] = []
        self._requests = array("Q", bytes(8 * _WORDS * _FIRST_ROWS))
        self._pointers = array("Q")
        self._point()

    def __len__(self) -> int:
        return len(self.fds)

    def add(self, fd: int) -> None:
        """One more row."""
        row = len(self.fds)
        if row == len(self._pointers):
            self._requests.extend(array("Q", bytes(8 * len(self._requests))))
            self._point()
        self.fds.append(fd)
        self._requests[row * _WORDS] = row  # comes back with the result
        self._set(row, fd)

    def remove(self, row: int) -> int:
        """The descriptor of a row, which the last row takes over."""
        fd, last = self.fds[row], self.fds.pop()
        if row < len(self.fds):
            self.fds[row] = last
            self._set(row, last)
        return fd

    def aim(self, address: int, size: int) -> None:
        """Let every request write `size` bytes from this address."""
        rows = len(self.fds)
        self._requests[_ADDRESS : rows * _WORDS : _WORDS] = array("Q", [address]) * rows
        self._requests[_SIZE : rows * _WORDS : _WORDS] = array("Q", [size]) * rows

    def pointers_at(self, row: int) -> int:
        """Where the pointers to the requests from this row on are: the argument of io_submit."""
        return self._pointers.buffer_info()[0] + 8 * row

    def _set(self, row: int, fd: int) -> None:
        self._requests[row * _WORDS + _OPERATION] = _IOCB_CMD_PWRITE | fd << 32

    def _point(self) -> None:
        """The array may have moved."""
        at, words = self._requests.buffer_info()
        self._pointers = array("Q", range(at, at + 8 * words, 8 * _WORDS))
