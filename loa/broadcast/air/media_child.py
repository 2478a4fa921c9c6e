"""The loops of the media process: one thread reads, one thread sends, `MediaCore` decides.

The reader holds the lock for one message or datagram at a time; the sender while it asks what is due, never while
it sends or sleeps.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import sys
import threading
import time
import traceback

from loa.broadcast.air import media_messages
from loa.broadcast.air.fanout import Fanout
from loa.broadcast.air.media_core import Batch, MediaCore
from loa.broadcast.air.media_messages import MessageStream
from loa.broadcast.air.media_port import AirProgress, Command, Counters
from loa.broadcast.air.media_socket import open_media_socket, plain_address, socket_address
from loa.codecs.order_wire import EPOCH_BYTES
from loa.errors import WireError

DATAGRAMS_A_ROUND = 128
READ_BYTES = 256 * 1024
DROPPABLE_ABOVE_BYTES = 1 << 20
"""With so much unread by control, progress and counters are dropped …"""
MAX_UNREAD_BYTES = 16 << 20
"""… and with so much, control is taken for dead."""
_NS_PER_S = 1_000_000_000


class MediaChild:
    """The process's life: `run` returns when control closes its end, or says Shutdown."""

    def __init__(self, control: socket.socket, media: socket.socket, core: MediaCore) -> None:
        """Both sockets non-blocking. `control`: a stream."""
        self._control = control
        self._media = media
        self._core = core
        self._commands = MessageStream()
        self._unread = bytearray()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._changed = threading.Condition()  # its lock guards the core
        self._sleeps_until_ns = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Until the end. The sound stops with it."""
        sender = threading.Thread(target=self._send_or_die, name="sender", daemon=True)
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(self._media, selectors.EVENT_READ)
        selector.register(self._wake, selectors.EVENT_READ)
        sender.start()
        try:
            while not self._over.is_set():
                self._write_events()
                interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unread else 0)
                selector.modify(self._control, interest)
                ready = {key.fileobj for key, _ in selector.select()}
                if self._wake in ready:
                    os.eventfd_read(self._wake)
                if self._control in ready:
                    self._read_control()
                if self._media in ready:
                    self._read_media()
        finally:
            with self._changed:
                self._over.set()
                self._changed.notify()
            sender.join(timeout=1.0)
            selector.close()

    def _read_control(self) -> None:
        try:
            data = self._control.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._over.set()
            return
        for command in self._commands.feed(data):
            if not isinstance(command, Command):
                raise WireError(f"an event where a command belongs: {type(command).__name__}")
            with self._changed:
                self._core.handle(command, time.monotonic_ns())
                if self._core.closing:
                    self._over.set()
                self._wake_sender()

    def _read_media(self) -> None:
        core, media = self._core, self._media
        for _ in range(DATAGRAMS_A_ROUND):
            try:
                data, name = media.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                core.counters["receive_errors"] += 1
                return
            now_ns = time.monotonic_ns()
            with self._changed:
                replies = core.receive(data, plain_address(name), now_ns)
                self._wake_sender()
            for reply, address in replies:
                try:
                    media.sendto(reply, socket_address(media, address))
                    core.counters["replies_sent"] += 1
                except OSError:
                    core.counters["replies_refused"] += 1

    def _wake_sender(self) -> None:
        due_ns = self._core.next_due_ns()
        if due_ns is not None and due_ns < self._sleeps_until_ns:
            self._changed.notify()

    def _write_events(self) -> None:
        with self._changed:
            events = self._core.take_events()
        for event in events:
            if len(self._unread) > DROPPABLE_ABOVE_BYTES and isinstance(event, AirProgress | Counters):
                self._core.counters["events_dropped"] += 1
            else:
                self._unread += media_messages.encode(event)
        if self._unread:
            try:
                del self._unread[: self._control.send(self._unread)]
            except BlockingIOError:
                pass
            except ConnectionError:
                self._over.set()
        if len(self._unread) > MAX_UNREAD_BYTES:
            self._over.set()

    def _send_or_die(self) -> None:
        """A sender that fails must not leave a process that looks alive."""
        try:
            self._send_loop()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)

    def _send_loop(self) -> None:
        fanout = Fanout(self._media)
        while True:
            with self._changed:
                while True:
                    if self._over.is_set():
                        return
                    now_ns = time.monotonic_ns()
                    due_ns = self._core.next_due_ns()
                    if due_ns is not None and due_ns <= now_ns:
                        break
                    self._sleeps_until_ns = sys.maxsize if due_ns is None else due_ns
                    self._changed.wait(None if due_ns is None else (due_ns - now_ns) / _NS_PER_S)
                    self._sleeps_until_ns = 0
                batches = self._core.due(now_ns)
                if self._core.has_events:
                    os.eventfd_write(self._wake, 1)
            for batch in batches:
                if self._over.is_set():
                    return
                self._send(fanout, batch)

    def _send(self, fanout: Fanout, batch: Batch) -> None:
        counters = self._core.counters
        late_ns = time.monotonic_ns() - batch.due_ns
        counters["ticks"] += 1
        counters["ticks_late_2ms"] += late_ns > 2_000_000
        counters["ticks_late_20ms"] += late_ns > 20_000_000
        result = fanout.send(batch.packet, batch.table)
        counters["packets_sent"] += result.sent
        counters["send_refused"] += result.errors


def serve(control: socket.socket, host: str, port: int) -> None:
    """Open the media socket and run until the end. ConfigError when it cannot be opened."""
    sys.setswitchinterval(0.0005)  # a sender that wakes waits no 5 ms for the reader to yield the interpreter
    early: dict[str, int] = {}
    media = open_media_socket(host, port, early)
    try:
        os.nice(-10)
    except OSError:
        early["priority_unset"] = 1
    core = MediaCore(
        epoch=secrets.token_bytes(EPOCH_BYTES),
        address=plain_address(media.getsockname()),
        clock=time.monotonic_ns,
        nonce_key=secrets.token_bytes(32),
        family=media.family,
    )
    core.counters.update(early)
    control.setblocking(False)
    with media, control:
        MediaChild(control, media, core).run()
