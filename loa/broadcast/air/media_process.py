"""The media process, from both sides: `start_media_process` for control, `main` in the process itself."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence

from loa.broadcast.air import media_messages
from loa.broadcast.air.media_child import serve
from loa.broadcast.air.media_port import Command, Event, Ready, Shutdown
from loa.errors import ConfigError, MediaError, WireError

MAX_UNSENT_BYTES = 16 << 20
START_S = 20.0
CLOSE_S = 3.0
_LENGTH_BYTES = 4


class MediaProcess:
    """The media process as control holds it; made by `start_media_process`. For one event loop."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._ready: Event | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.returncode

    def send(self, command: Command) -> None:
        """Queue a command. MediaError when the process is gone, or so stuck that MAX_UNSENT_BYTES wait for it."""
        transport = self._writer.transport
        if transport.is_closing():
            raise MediaError("the media process is gone")
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._process.kill()
            transport.abort()
            raise MediaError("the media process does not read its commands")
        self._writer.write(media_messages.encode(command))

    async def events(self) -> AsyncIterator[Event]:
        """Events in order, the first is Ready. Ends when the process is gone. For one reader."""
        if self._ready is not None:
            ready, self._ready = self._ready, None
            yield ready
        while (event := await self._next()) is not None:
            yield event

    async def close(self) -> None:
        """End the process, by force after CLOSE_S, and wait until it is gone."""
        if not self._writer.transport.is_closing():
            self._writer.write(media_messages.encode(Shutdown()))
        try:
            await asyncio.wait_for(self._process.wait(), CLOSE_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return  # it went first

    async def wait_ready(self) -> None:
        """Wait for the first event. MediaError when the process ends instead."""
        try:
            self._ready = await asyncio.wait_for(self._next(), START_S)
        except TimeoutError:
            self._ready = None
        if not isinstance(self._ready, Ready):
            await self.close()
            raise MediaError(f"the media process did not start (exit code {self._process.returncode})")

    async def _next(self) -> Event | None:
        try:
            size = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            if size > media_messages.MAX_MESSAGE_BYTES:
                raise WireError(f"a message of {size} bytes")
            message = media_messages.decode(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        if not isinstance(message, Event):
            raise WireError(f"a command where an event belongs: {type(message).__name__}")
        return message


async def start_media_process(host: str, port: int, threads: int = 0) -> MediaProcess:
    """Start the media process on a numeric `host` (`::`: all addresses of both families) and UDP `port` (0: any).

    `threads`: how many send, 0 for one each core. Returns when its socket is open; MediaError when it cannot be,
    and then the process has written why to stderr. It ends by `close`, or by itself when this process is gone.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "loa.broadcast.air.media_process",
                "--fd",
                str(theirs.fileno()),
                "--host",
                host,
                "--port",
                str(port),
                "--threads",
                str(threads),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
    except BaseException:
        ours.close()
        raise
    media = MediaProcess(process, reader, writer)
    try:
        await media.wait_ready()
    except asyncio.CancelledError:
        process.kill()
        writer.close()
        raise
    return media


def main(arguments: Sequence[str] | None = None) -> int:
    """The process: 0 after its end, 2 when the address cannot be used."""
    parser = argparse.ArgumentParser(prog="loa-media", description="Started by loa serve; not for people.")
    parser.add_argument("--fd", type=int, required=True, help="inherited control socket")
    parser.add_argument("--host", required=True, help="numeric address to bind")
    parser.add_argument("--port", type=int, required=True, help="UDP port, 0 for any")
    parser.add_argument("--threads", type=int, default=0, help="how many send, 0 for one each core")
    options = parser.parse_args(arguments)
    # Ctrl-C reaches the whole group; the parent decides when the sound ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=options.fd)
    control.set_inheritable(False)
    try:
        serve(control, options.host, options.port, options.threads)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
