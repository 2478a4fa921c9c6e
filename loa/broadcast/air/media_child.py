"""The loops of the media process: one thread reads, one or more send, `MediaCore` decides.

The reader holds the lock for one command or one batch of datagrams at a time; the sender while it asks what is due,
never while it sends or sleeps.
"""

from __future__ import annotations

import ctypes
import gc
import os
import secrets
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence

from loa.broadcast.air import media_messages
from loa.broadcast.air.credit import Credit
from loa.broadcast.air.datagram_reader import ROUND, DatagramReader
from loa.broadcast.air.fanout import MAX_THREADS, Fanout, Parcel
from loa.broadcast.air.group_sockets import GroupSockets
from loa.broadcast.air.media_core import Batch, MediaCore
from loa.broadcast.air.media_messages import MessageStream
from loa.broadcast.air.media_port import AirProgress, Command, Counters, Tapped
from loa.broadcast.air.media_socket import open_media_socket, plain_address
from loa.broadcast.air.preferring_lock import PreferringLock
from loa.broadcast.air.reply_batch import ReplyBatch
from loa.codecs.order_wire import EPOCH_BYTES
from loa.errors import WireError

READ_BYTES = 256 * 1024
READING_NS_A_SECOND = 400_000_000
"""Of each second so much may be spent on datagrams …"""
READING_NS_AT_ONCE = 10_000_000
"""… and so much in one go. What then does not fit the receive buffer is lost, and counted."""
READ_EVERY_NS = 2_000_000
"""After a read the next waits so long, unless there is more at once: what comes one by one is looked at together.
The kernel has told when each came."""
REPLY_PATIENCE_NS = 2_000_000
DROPPABLE_ABOVE_BYTES = 1 << 20
"""With so much unread by control, progress and counters are dropped …"""
MAX_UNREAD_BYTES = 16 << 20
"""… and with so much, control is taken for dead."""
_LONGEST_SLEEP_S = 1.0
"""The sender looks so often by itself, so that no datagram has to wake it: a binding may end so much later."""
_PR_SET_TIMERSLACK = 29
_NS_PER_S = 1_000_000_000


class MediaChild:
    """The process's life: `run` returns when control closes its end, or says Shutdown."""

    def __init__(self, control: socket.socket, media: socket.socket, core: MediaCore, threads: int = 1) -> None:
        """Both sockets non-blocking. `control`: a stream. `threads`: how many send."""
        self._control = control
        self._media = media
        self._core = core
        self._threads = threads
        self._commands = MessageStream()
        self._unread = bytearray()
        self._reader = DatagramReader(media)
        self._replies = ReplyBatch(media)
        self._reading = Credit(READING_NS_A_SECOND, READING_NS_AT_ONCE)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = PreferringLock()  # guards the core; the sender is the urgent one
        self._alarm = threading.Lock()  # locked but to wake the sender; only the reader unlocks it
        self._alarm.acquire()
        self._sleeps_until_ns = 0
        self._read_again_ns = 0
        self._over = threading.Event()
        self._groups = GroupSockets(core.counters)

    def run(self) -> None:
        """Until the end. The sound stops with it."""
        sender = threading.Thread(target=self._send_or_die, name="sender", daemon=True)
        sender.start()
        control, media, armed, writing = self._control.fileno(), self._media.fileno(), True, False
        with select.epoll() as poll:
            poll.register(control, select.EPOLLIN)
            poll.register(self._wake, select.EPOLLIN)
            poll.register(media, select.EPOLLIN | select.EPOLLONESHOT)
            try:
                while not self._over.is_set():
                    self._write_events()
                    if writing != bool(self._unread):
                        writing = not writing
                        poll.modify(control, select.EPOLLIN | (select.EPOLLOUT if writing else 0))
                    left_ns = 0 if armed else self._read_again_ns - time.monotonic_ns()
                    if not armed and left_ns <= 0:
                        poll.modify(media, select.EPOLLIN | select.EPOLLONESHOT)
                        armed = True
                    for ready, _ in poll.poll(None if armed else left_ns / _NS_PER_S):
                        if ready == self._wake:
                            os.eventfd_read(self._wake)
                        elif ready == media:
                            armed = False
                            self._read_media()
                        elif ready == control:
                            self._read_control()
            finally:
                self._over.set()
                self._wake_sender()
                sender.join(timeout=1.0)
                if not sender.is_alive():
                    for batch in self._core.farewell(time.monotonic_ns()):
                        self._groups.send(batch.packet, batch.groups)
                    self._groups.close()

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
            with self._lock.ordinary:
                self._core.handle(command, time.monotonic_ns())
                if self._core.closing:
                    self._over.set()
        with self._lock.ordinary:
            due_ns = self._core.next_due_ns()
            early = due_ns is not None and due_ns < self._sleeps_until_ns
        if early:
            self._wake_sender()

    def _wake_sender(self) -> None:
        if self._alarm.locked():
            self._alarm.release()

    def _read_media(self) -> None:
        """Datagrams of one read, and their answers; when the next may be. A flood leaves the processor to sound."""
        began_ns = time.monotonic_ns()
        counters = self._core.counters
        try:
            arrivals = self._reader.read()
        except OSError:
            counters["receive_errors"] += 1
            arrivals = []
        with self._lock.ordinary:
            replies = self._core.receive_all(arrivals)
        if replies:
            outcome = self._replies.send(replies, REPLY_PATIENCE_NS)
            counters["replies_sent"] += outcome.sent
            counters["replies_refused"] += outcome.errors
        counters["receive_lost"] = self._reader.lost
        counters["receive_unstamped"] = self._reader.unstamped
        now_ns = time.monotonic_ns()
        self._reading.spend(now_ns - began_ns)
        pause_ns = self._reading.wait_ns(now_ns)
        counters["receive_pauses"] += pause_ns > 0
        self._read_again_ns = now_ns + max(pause_ns, 0 if len(arrivals) == ROUND else READ_EVERY_NS)

    def _write_events(self) -> None:
        with self._lock.ordinary:
            events = self._core.take_events()
        for event in events:
            if len(self._unread) > DROPPABLE_ABOVE_BYTES and isinstance(event, AirProgress | Counters | Tapped):
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
            # Of the usual 50 µs by which the kernel may wake a thread late, this one needs none.
            ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
            with Fanout(self._media, self._threads) as fanout:
                self._core.counters["realtime_unset"] = int(not take_precedence())
                self._send_loop(fanout)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(70)

    def _send_loop(self, fanout: Fanout) -> None:
        while not self._over.is_set():
            with self._lock.urgent:
                now_ns = time.monotonic_ns()
                # Who has slept to the end need not ask again; what has become due sooner would have woken him.
                due_ns: int | None = self._sleeps_until_ns
                if not 0 < self._sleeps_until_ns <= now_ns:
                    due_ns = self._core.next_due_ns()
                batches: Sequence[Batch] = ()
                if due_ns is not None and due_ns <= now_ns:
                    batches = self._core.due(now_ns)
                    if self._core.has_events:
                        os.eventfd_write(self._wake, 1)
                    self._sleeps_until_ns = 0
                else:
                    self._sleeps_until_ns = sys.maxsize if due_ns is None else due_ns
            if self._sleeps_until_ns:
                left_s = (self._sleeps_until_ns - now_ns) / _NS_PER_S
                self._alarm.acquire(timeout=min(left_s, _LONGEST_SLEEP_S))
            elif batches:
                self._send(fanout, batches)

    def _send(self, fanout: Fanout, batches: Sequence[Batch]) -> None:
        counters = self._core.counters
        due_ns = min(batch.due_ns for batch in batches)
        late_ns = time.monotonic_ns() - due_ns
        counters["ticks"] += 1
        counters["ticks_late_2ms"] += late_ns > 2_000_000
        counters["ticks_late_5ms"] += late_ns > 5_000_000
        counters["ticks_late_20ms"] += late_ns > 20_000_000
        for batch in batches:
            self._groups.send(batch.packet, batch.groups)
        for batch, outcome in zip(
            batches, fanout.send_all([Parcel(batch.packet, batch.table) for batch in batches]), strict=True
        ):
            counters["packets_sent"] += outcome.sent
            if outcome.smooth:
                continue
            counters["send_refused"] += outcome.errors
            for kind, count in outcome.refused.items():
                counters["send_refused_" + kind] += count
            counters["send_partial"] += outcome.partial
            counters["send_pending_errors"] += outcome.pending
            counters["send_waits"] += outcome.waits
            if outcome.positions:
                with self._lock.urgent:
                    self._core.refused(batch.table, outcome.positions, time.monotonic_ns())
        counters["chunks_helped"], counters["chunks_slow"] = fanout.helped, fanout.slow
        counters["ticks_long_20ms"] += time.monotonic_ns() - due_ns > 20_000_000


def take_precedence() -> bool:
    """Let the calling thread, and no other, run as soon as it wakes up; False where that is not allowed.

    However nice the others are, a thread that wakes up waits for up to a tick of the scheduler, 4 ms, for who runs
    just then. With one core, a sender that is overloaded would leave nothing for the one who is to stop it.
    """
    if len(os.sched_getaffinity(0)) < 2:
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        return False
    return True


def sender_threads(wanted: int) -> int:
    """How many threads send: `wanted`, for 0 one for each core that this process may use; at most MAX_THREADS."""
    return min(wanted or len(os.sched_getaffinity(0)), MAX_THREADS)


def serve(control: socket.socket, host: str, port: int, threads: int = 0) -> None:
    """Open the media socket and run until the end. ConfigError when it cannot be opened.

    `threads`: see `sender_threads`.
    """
    gc.disable()  # nothing here makes cycles, and to look for some among 20,000 channels holds up a tick
    sys.setswitchinterval(0.0005)  # a sender that wakes waits no 5 ms for the reader to yield the interpreter
    early: dict[str, int] = {"sender_threads": sender_threads(threads)}
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
        MediaChild(control, media, core, early["sender_threads"]).run()
