"""The impairing UDP forwarder: clients send to its address, and a bad path lies between them and the far end.

Each client gets a socket of its own towards the far end, so that the answers find back; both directions pass
through an `ImpairedPath` of their own.
"""

import asyncio
import dataclasses
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loa.app.impaired_path import Burst, ImpairedPath, Impairment, PathStatistics
from loa.errors import ConfigError

__all__ = [
    "Address",
    "Burst",
    "ForwarderStatistics",
    "ImpairedPath",
    "Impairment",
    "PathStatistics",
    "UdpForwarder",
    "format_address",
    "parse_address",
]

_READ_BYTES = 65_536  # more than the largest UDP payload, 65,507 bytes over IPv4
_READS_A_TURN = 64  # so that one busy socket does not keep the timers of the others waiting
_SOCKET_BUFFER_BYTES = 4 << 20

Address = tuple[str, int]
# What the operating system gives for a peer: two fields for IPv4, four for IPv6.
SocketAddress = tuple[str, int] | tuple[str, int, int, int]


@dataclass(slots=True)
class ForwarderStatistics:
    """`up` is from the clients to the far end, `down` the way back; the rest is what the shell met."""

    up: PathStatistics = field(default_factory=PathStatistics)
    down: PathStatistics = field(default_factory=PathStatistics)
    clients: int = 0
    clients_expired: int = 0
    refused: int = 0  # datagrams of a new client while the table of clients was full
    unsent: int = 0  # datagrams the operating system did not take (buffer full, too long, unreachable)


class _Lane:
    """A path with the timer that empties it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, impairment: Impairment, send: Callable[[bytes], None]
    ) -> None:
        self.path = ImpairedPath(impairment)
        self._loop = loop
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ns = 0

    def push(self, data: bytes, now_ns: int) -> None:
        self.path.push(data, now_ns)
        self._pump(now_ns)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pump(self, now_ns: int) -> None:
        for data in self.path.pop_due(now_ns):
            self._send(data)
        due_ns = self.path.next_due_ns()
        if self._timer is not None and due_ns == self._timer_due_ns:
            return
        self.close()
        if due_ns is not None:
            self._timer_due_ns = due_ns
            self._timer = self._loop.call_later(max(0, due_ns - now_ns) / 1e9, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._pump(time.monotonic_ns())


@dataclass(slots=True)
class _Client:
    upstream: socket.socket
    up: _Lane
    down: _Lane
    last_heard_ns: int


class UdpForwarder:
    """Forwards UDP from `listen` to `to` and back, with one upstream socket per client address.

    Port 0 in `listen` takes a free port; `address` tells it after `start`. IPv4 and IPv6 may differ between
    the two sides. Each client has paths of its own, with dice derived from the seed and the client's number
    in order of appearance. At most `clients_max` clients are held; one that is silent in both directions for
    `idle_s` is forgotten, and datagrams of a further one are counted as refused.
    """

    def __init__(
        self,
        listen: Address,
        to: Address,
        up: Impairment,
        down: Impairment,
        *,
        clients_max: int = 1024,
        idle_s: float = 120.0,
    ) -> None:
        self._listen = listen
        self._to = to
        self._up = up
        self._down = down
        self._clients_max = clients_max
        self._idle_ns = round(idle_s * 1e9)
        self._clients: dict[SocketAddress, _Client] = {}
        self._clients_seen = 0
        self._done = ForwarderStatistics()  # of clients that are gone, and of the shell
        self._socket: socket.socket | None = None
        self._target: tuple[socket.AddressFamily, SocketAddress] | None = None
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def address(self) -> Address:
        """Host and port where clients send to."""
        if self._socket is None:
            raise ConfigError("the forwarder is not started")
        name = self._socket.getsockname()
        return str(name[0]), int(name[1])

    async def start(self) -> None:
        """Bind and forward until `close`. Raises ConfigError for an address that cannot be used."""
        loop = asyncio.get_running_loop()
        family, local = await _resolve(self._listen)
        self._target = await _resolve(self._to)
        sock = _udp_socket(family)
        try:
            sock.bind(local)
        except OSError as error:
            sock.close()
            raise ConfigError(f"cannot listen on {format_address(self._listen)}: {error}") from error
        self._socket = sock
        loop.add_reader(sock, self._on_clients, loop, sock)
        self._schedule_sweep(loop)

    def close(self) -> None:
        """Stop forwarding. What still waits stays counted as queued."""
        if self._sweep is not None:
            self._sweep.cancel()
        for address in list(self._clients):
            self._forget(address)
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def statistics(self) -> ForwarderStatistics:
        """A copy of the counts over all clients, past and present."""
        total = dataclasses.replace(self._done, up=PathStatistics(), down=PathStatistics())
        total.up.add(self._done.up)
        total.down.add(self._done.down)
        for client in self._clients.values():
            total.up.add(client.up.path.statistics())
            total.down.add(client.down.path.statistics())
        total.clients = self._clients_seen
        return total

    def _on_clients(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        for _ in range(_READS_A_TURN):
            try:
                data, address = sock.recvfrom(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an ICMP answer to something sent before; the socket goes on
                self._done.unsent += 1
                continue
            client = self._clients.get(address) or self._welcome(loop, sock, address)
            if client is None:
                self._done.refused += 1
                continue
            now_ns = time.monotonic_ns()
            client.last_heard_ns = now_ns
            client.up.push(data, now_ns)

    def _welcome(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, address: SocketAddress
    ) -> _Client | None:
        if len(self._clients) >= self._clients_max or self._target is None:
            return None
        family, target = self._target
        upstream = _udp_socket(family)
        try:
            upstream.connect(target)
        except OSError:
            upstream.close()
            return None
        number = self._clients_seen
        self._clients_seen += 1

        def to_far_end(data: bytes) -> None:
            self._send(upstream, data, None)

        def to_client(data: bytes) -> None:
            self._send(sock, data, address)

        client = _Client(
            upstream,
            _Lane(loop, self._up.with_seed(f"{self._up.seed}/up/{number}"), to_far_end),
            _Lane(loop, self._down.with_seed(f"{self._down.seed}/down/{number}"), to_client),
            time.monotonic_ns(),
        )
        self._clients[address] = client
        loop.add_reader(upstream, self._on_far_end, client)
        return client

    def _on_far_end(self, client: _Client) -> None:
        for _ in range(_READS_A_TURN):
            try:
                data = client.upstream.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:  # nobody listens at the far end yet, or no longer
                self._done.unsent += 1
                continue
            now_ns = time.monotonic_ns()
            client.last_heard_ns = now_ns
            client.down.push(data, now_ns)

    def _send(self, sock: socket.socket, data: bytes, address: SocketAddress | None) -> None:
        try:
            if address is None:
                sock.send(data)
            else:
                sock.sendto(data, address)
        except OSError:
            self._done.unsent += 1

    def _schedule_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = loop.call_later(self._idle_ns / 4e9, self._on_sweep, loop)

    def _on_sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        oldest_ns = time.monotonic_ns() - self._idle_ns
        for address in [key for key, client in self._clients.items() if client.last_heard_ns < oldest_ns]:
            self._forget(address)
            self._done.clients_expired += 1
        self._schedule_sweep(loop)

    def _forget(self, address: SocketAddress) -> None:
        client = self._clients.pop(address)
        asyncio.get_running_loop().remove_reader(client.upstream)
        client.up.close()
        client.down.close()
        client.upstream.close()
        self._done.up.add(client.up.path.statistics())
        self._done.down.add(client.down.path.statistics())


def parse_address(text: str) -> Address:
    """`127.0.0.1:5004`, `[::1]:5004` or `name:5004` as host and port. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"write an IPv6 address in brackets, as [::1]:5004, not {text!r}")
    if not colon or not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"an address is host:port, not {text!r}")
    return host, int(port)


def format_address(address: Address) -> str:
    """The inverse of `parse_address`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _udp_socket(family: socket.AddressFamily) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    # The kernel gives less where its own limit is lower; that is no error.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
    return sock


async def _resolve(address: Address) -> tuple[socket.AddressFamily, SocketAddress]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(*address, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ConfigError(f"cannot use the address {format_address(address)}: {error}") from error
    family, _, _, _, resolved = found[0]
    if not isinstance(resolved[0], str):  # what Python gives for IPv6 where it was built without
        raise ConfigError(f"no IPv6 here for the address {format_address(address)}")
    return family, resolved
