"""One packet to 2,000 addresses, flat out: `loa.broadcast.air.fanout`, beside the same loop in C."""

from __future__ import annotations

import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import Figure
from loa.app.load.sink_sockets import drop_all
from loa.broadcast.air.address_table import AddressTable
from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.fanout import Fanout
from loa.broadcast.air.media_socket import open_media_socket

ADDRESSES = 2000
PACKET_BYTES = 188
"""20 ms of Opus at 64 kb/s, RTP header and tag."""
ROUNDS = 60
TURNS = 7


def measure() -> list[Figure]:
    """Turns of both, one after the other, so that a busy moment meets both."""
    with tempfile.TemporaryDirectory() as folder, sink() as drain:
        port = drain.getsockname()[1]
        program = compiled(Path(folder))
        table = AddressTable.of((f"127.1.{number // 250}.{1 + number % 250}", port) for number in range(ADDRESSES))
        loa, c = [], []
        with open_media_socket("::", 0, new_values()) as sending:
            fanout = Fanout(sending)
            for _ in range(TURNS):
                loa.append(_loa(fanout, table))
                c.append(_c(program, port))
    ours, theirs = statistics.median(loa), statistics.median(c)
    note = f"median of {TURNS}; {ADDRESSES:,} addresses, {PACKET_BYTES} B, one sink that drops by BPF"
    return [
        Figure("loa, a packet to one address", ours, "µs", note),
        Figure("C sendmmsg loop, the same", theirs, "µs"),
        Figure("loa / C", ours / theirs, "×"),
        Figure("loa, packets a second", 1e6 / ours, "/s"),
    ]


def compiled(folder: Path) -> Path:
    """The loop in C, compiled on the spot."""
    program = folder / "fanout"
    subprocess.run(["cc", "-O2", "-o", program, Path(__file__).with_suffix(".c")], check=True)
    return program


def sink() -> socket.socket:
    """A socket that receives for every loopback address, and keeps nothing."""
    drain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    drop_all(drain)
    drain.bind(("0.0.0.0", 0))
    return drain


def _loa(fanout: Fanout, table: AddressTable) -> float:
    packets = [bytes([number]) * PACKET_BYTES for number in range(ROUNDS)]
    began_ns = time.perf_counter_ns()
    for packet in packets:
        result = fanout.send(packet, table)
        if result.errors:
            raise RuntimeError(f"{result.errors} addresses were refused by the kernel")
    return (time.perf_counter_ns() - began_ns) / 1e3 / (ROUNDS * ADDRESSES)


def _c(program: Path, port: int) -> float:
    arguments = [str(each) for each in (program, port, ADDRESSES, ROUNDS, PACKET_BYTES)]
    said = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    return int(said.split()[0]) / 1e3 / (ROUNDS * ADDRESSES)
