"""The impairing forwarder: its pure path by virtual time, and its shell on loopback."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.app.impair import Burst, ImpairedPath, Impairment, UdpForwarder, format_address, parse_address
from loa.errors import ConfigError

MS = 1_000_000
chance = st.floats(0.0, 1.0)


def run(impairment: Impairment, count: int, gap_ns: int = 20 * MS) -> list[tuple[int, int]]:
    """Push `count` numbered datagrams, `gap_ns` apart; give (number, time it left) in order of leaving."""
    path = ImpairedPath(impairment)
    left: list[tuple[int, int]] = []

    def drain(until_ns: int) -> None:
        while (due_ns := path.next_due_ns()) is not None and due_ns <= until_ns:
            left.extend((int(data), due_ns) for data in path.pop_due(due_ns))

    for number in range(count):
        drain(number * gap_ns)
        path.push(b"%d" % number, number * gap_ns)
    drain(1 << 62)
    return left


@settings(max_examples=60, deadline=None)
@given(
    impairment=st.builds(
        Impairment,
        delay_ms=st.floats(0, 200),
        jitter_ms=st.floats(0, 50),
        loss=chance,
        duplicate=chance,
        reorder=chance,
        reorder_ms=st.floats(0, 100),
        burst=st.none() | st.builds(Burst, chance, chance, chance),
        seed=st.integers(),
        limit_packets=st.integers(1, 20),
        limit_bytes=st.integers(1, 2000),
    ),
    steps=st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 40 * MS), st.booleans()), max_size=60),
)
def test_every_datagram_is_accounted_for_and_the_queue_is_bounded(
    impairment: Impairment, steps: list[tuple[bytes, int, bool]]
) -> None:
    path = ImpairedPath(impairment)
    now_ns = 0
    delivered: list[bytes] = []
    for data, gap_ns, drain in steps:
        now_ns += gap_ns
        path.push(data, now_ns)
        if drain:
            delivered += path.pop_due(now_ns)
            due_ns = path.next_due_ns()
            assert due_ns is None or due_ns > now_ns
        counts = path.statistics()
        assert counts.received + counts.duplicated == (
            counts.delivered + counts.lost + counts.dropped + counts.queued
        )
        assert counts.queued <= impairment.limit_packets
    delivered += path.pop_due(1 << 62)
    counts = path.statistics()
    assert counts.received == len(steps)
    assert counts.delivered == len(delivered)
    assert counts.queued == 0
    assert path.next_due_ns() is None
    assert set(delivered) <= {data for data, _, _ in steps}


@settings(max_examples=60, deadline=None)
@given(delay_ms=st.floats(0, 200), jitter_ms=st.floats(0, 100), loss=chance, duplicate=chance, seed=st.integers())
def test_without_reorder_nothing_overtakes_and_nothing_comes_early(
    delay_ms: float, jitter_ms: float, loss: float, duplicate: float, seed: int
) -> None:
    setting = Impairment(delay_ms=delay_ms, jitter_ms=jitter_ms, loss=loss, duplicate=duplicate, seed=seed)
    left = run(setting, 60)
    numbers = [number for number, _ in left]
    assert numbers == sorted(numbers)
    assert all(time_ns >= number * 20 * MS + round(delay_ms * MS) for number, time_ns in left)


def test_loss_duplicates_and_jitter_come_at_their_rates() -> None:
    path = ImpairedPath(Impairment(loss=0.03, duplicate=0.1, reorder=0.05, seed=5, limit_packets=100_000))
    for number in range(20_000):
        path.push(b"x", number)
    counts = path.statistics()
    assert 0.025 < counts.lost / 20_000 < 0.035
    assert 0.09 < counts.duplicated / (20_000 - counts.lost) < 0.11
    assert 0.04 < counts.reordered / (20_000 - counts.lost) < 0.06

    left = run(Impairment(delay_ms=50, jitter_ms=4, seed=5), 4000)
    extra_ms = [(time_ns - number * 20 * MS) / MS - 50 for number, time_ns in left]
    assert 3.5 < sum(extra_ms) / len(extra_ms) < 4.8
    assert min(extra_ms) >= 0
    assert max(extra_ms) > 12


def test_a_plain_delay_is_exact() -> None:
    assert run(Impairment(delay_ms=12.5), 3) == [(n, n * 20 * MS + 12_500_000) for n in range(3)]


def test_reorder_makes_later_datagrams_overtake() -> None:
    numbers = [number for number, _ in run(Impairment(reorder=0.1, reorder_ms=30, seed=1), 200)]
    assert sorted(numbers) == list(range(200))
    overtaken = sum(1 for a, b in itertools.pairwise(numbers) if b < a)
    assert 8 <= overtaken <= 35


def test_burst_loss_comes_in_bursts_of_the_expected_length() -> None:
    setting = Impairment(burst=Burst(to_bad=0.01, to_good=0.25), seed=3, limit_packets=100_000)
    arrived = {number for number, _ in run(setting, 20_000)}
    lost = [number not in arrived for number in range(20_000)]
    bursts = sum(1 for a, b in zip([False, *lost], lost, strict=False) if b and not a)
    assert 3.4 < sum(lost) / bursts < 4.6
    assert 0.03 < sum(lost) / 20_000 < 0.05


def test_the_same_seed_gives_the_same_fates_and_another_seed_others() -> None:
    setting = Impairment(delay_ms=20, jitter_ms=10, loss=0.2, duplicate=0.2, reorder=0.2, seed=7)
    assert run(setting, 300) == run(setting, 300)
    assert run(setting, 300) != run(setting.with_seed(8), 300)


def test_a_full_queue_drops_the_oldest_and_counts_it() -> None:
    path = ImpairedPath(Impairment(delay_ms=100, limit_packets=3, limit_bytes=1000))
    for number in range(5):
        path.push(b"%d" % number, number)
    assert path.statistics().dropped == 2
    assert path.pop_due(1 << 62) == [b"2", b"3", b"4"]
    path.push(b"a" * 600, 0)
    path.push(b"b" * 600, 0)
    assert path.pop_due(1 << 62) == [b"b" * 600]


@pytest.mark.parametrize(
    "values",
    [
        {"loss": 1.1},
        {"loss": float("nan")},
        {"delay_ms": -1},
        {"jitter_ms": 1e9},
        {"limit_packets": 0},
        {"burst": Burst(to_bad=2.0, to_good=0.5)},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Impairment(**values)  # type: ignore[arg-type]


def test_addresses_are_read_and_written_alike() -> None:
    for text in ("127.0.0.1:5004", "[::1]:0", "core.example:65535"):
        assert format_address(parse_address(text)) == text
    for text in ("", "5004", ":5004", "::1:5004", "host:", "host:65536", "host:-1", "host:٣"):
        with pytest.raises(ConfigError):
            parse_address(text)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what a count will say; fails when it does not within ten seconds."""
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it did not come to hold")


class Echo(asyncio.DatagramProtocol):
    """Answers every datagram, and remembers from where it came."""

    def __init__(self) -> None:
        self.peers: set[object] = set()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        self.peers.add(addr)
        self.transport.sendto(data, addr)


class Inbox(asyncio.DatagramProtocol):
    """Collects what comes."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.queue.put_nowait(data)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_the_forwarder_carries_both_directions_and_keeps_clients_apart(host: str) -> None:
    loop = asyncio.get_running_loop()
    far, echo = await loop.create_datagram_endpoint(Echo, local_addr=(host, 0))
    forwarder = UdpForwarder(
        (host, 0), (host, far.get_extra_info("sockname")[1]), Impairment(), Impairment(), clients_max=2
    )
    await forwarder.start()
    clients = [await loop.create_datagram_endpoint(Inbox, remote_addr=forwarder.address) for _ in range(3)]
    try:
        for number, (transport, inbox) in enumerate(clients[:2]):
            sent = [b"%d" % number, b"again", bytes([number]) * 65_000]
            for data in sent:
                transport.sendto(data)
            async with asyncio.timeout(10):
                assert [await inbox.queue.get() for _ in sent] == sent
        assert len(echo.peers) == 2

        clients[2][0].sendto(b"one too many")
        await until(lambda: forwarder.statistics().refused > 0)
        counts = forwarder.statistics()
        assert (counts.clients, counts.up.delivered, counts.down.delivered) == (2, 6, 6)
        assert counts.unsent == 0
    finally:
        for transport, _ in clients:
            transport.close()
        far.close()
        forwarder.close()
    assert forwarder.statistics().up.delivered == 6


async def test_a_delayed_datagram_arrives_without_further_traffic() -> None:
    loop = asyncio.get_running_loop()
    far, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    late = Impairment(delay_ms=15)
    forwarder = UdpForwarder(("127.0.0.1", 0), far.get_extra_info("sockname"), late, late)
    await forwarder.start()
    transport, inbox = await loop.create_datagram_endpoint(Inbox, remote_addr=forwarder.address)
    try:
        begin = loop.time()
        transport.sendto(b"hello")
        async with asyncio.timeout(10):
            assert await inbox.queue.get() == b"hello"
        assert loop.time() - begin >= 0.029
    finally:
        transport.close()
        far.close()
        forwarder.close()


async def test_an_idle_client_is_forgotten() -> None:
    forwarder = UdpForwarder(("127.0.0.1", 0), ("127.0.0.1", 9), Impairment(), Impairment(), idle_s=0.02)
    await forwarder.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"once", forwarder.address)
        await until(lambda: forwarder.statistics().clients_expired > 0)
        assert forwarder.statistics().up.received == 1
    finally:
        forwarder.close()


async def test_an_address_in_use_is_a_clear_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        forwarder = UdpForwarder(taken.getsockname(), ("127.0.0.1", 9), Impairment(), Impairment())
        with pytest.raises(ConfigError, match="cannot listen"):
            await forwarder.start()


def test_the_command_says_where_it_listens_and_counts_when_ended(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with (
        report.open("wb") as out,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
    ):
        far.bind(("127.0.0.1", 0))
        far.settimeout(10)
        command = "import typer; from loa.cli.impair import impair; typer.run(impair)"
        to = format_address(far.getsockname())
        child = subprocess.Popen(
            [sys.executable, "-c", command, "--to", to, "--delay-ms", "5", "--report-fd", str(out.fileno())],
            stdout=subprocess.PIPE,
            pass_fds=[out.fileno()],
            env=os.environ | {"PYTHONUNBUFFERED": ""},
            text=True,
        )
        try:
            assert child.stdout is not None
            ready = child.stdout.readline()
            assert ready.startswith("impair: listening on 127.0.0.1:")
            near.sendto(b"x", parse_address(ready.split()[-1]))
            assert far.recv(100) == b"x"
            child.send_signal(signal.SIGTERM)
            rest, _ = child.communicate(timeout=20)
        finally:
            child.kill()
            child.wait()
    assert child.returncode == 0
    assert "impair: up received=1 duplicated=0 delivered=1" in rest
    assert json.loads(report.read_text())["up"]["delivered"] == 1


@pytest.mark.parametrize("arguments", [["--to", "nowhere"], ["--to", "127.0.0.1:9", "--loss", "2"]])
def test_the_command_refuses_bad_settings_in_one_line(arguments: list[str]) -> None:
    command = "import typer; from loa.cli.impair import impair; typer.run(impair)"
    done = subprocess.run([sys.executable, "-c", command, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("impair: ")
    assert done.stderr.count("\n") == 1
