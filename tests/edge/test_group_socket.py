"""The socket in a group, on loopback: what its source sends there comes, and nothing else does."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from loa.broadcast.air.air_counters import new_values
from loa.broadcast.air.group_book import ways_to
from loa.broadcast.air.group_sockets import GroupSockets
from loa.broadcast.air.media_port import GroupRoute
from loa.edge.speaker.group_ear import Membership
from loa.edge.speaker.group_socket import join_group

GROUP = "232.77.1.1"


def test_only_what_the_source_sends_to_the_group_comes() -> None:
    counters = new_values()
    sender = GroupSockets(counters)
    with join_group(Membership(GROUP, 0, "127.0.0.1")) as ours:
        port = ours.getsockname()[1]
        here = GroupRoute(GROUP, port, 1, "", True, "127.0.0.1")
        with join_group(Membership("232.77.1.2", port, "127.0.0.1")) as others:
            sender.send(b"of somebody else", ways_to([here._replace(source="127.0.0.2")]))
            sender.send(b"for others", ways_to([here._replace(host="232.77.1.2")]))
            sender.send(b"sound", ways_to([here]))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unicast:
                unicast.sendto(b"to the machine", ("127.0.0.1", port))
            assert ours.recv(100) == b"sound"
            assert others.recv(100) == b"for others"
            for sock in (ours, others):
                with pytest.raises(BlockingIOError):
                    sock.recv(100)
    sender.close()
    assert (counters["group_packets_sent"], counters["group_send_refused"]) == (3, 0)


@pytest.mark.parametrize(
    ("membership", "table", "group", "source"),
    [
        (Membership("232.77.1.3", 0, "127.0.0.1"), "mcfilter", "0xe84d0103", "0x7f000001"),
        (Membership("ff35::4000:3", 0, "::1"), "mcfilter6", "ff35" + "0" * 20 + "40000003", "0" * 31 + "1"),
    ],
)
def test_the_membership_is_for_one_source(membership: Membership, table: str, group: str, source: str) -> None:
    """So the kernel tells routers and switches (proc(5): interface, group, source, included and excluded by how
    many)."""
    with join_group(membership):
        rows = [line.split() for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()]
    assert [row[1:] for row in rows if row[2] == group] == [["lo", group, source, "1", "0"]]


def test_two_speakers_of_one_machine_both_hear() -> None:
    counters = new_values()
    sender = GroupSockets(counters)
    with join_group(Membership(GROUP, 0, "127.0.0.1")) as one:
        port = one.getsockname()[1]
        with join_group(Membership(GROUP, port, "127.0.0.1")) as two:
            sender.send(b"sound", ways_to([GroupRoute(GROUP, port, 1, "", True, "127.0.0.1")]))
            assert one.recv(100) == two.recv(100) == b"sound"
    sender.close()


def test_a_source_to_which_there_is_no_way_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"\[Errno"):
        join_group(Membership(GROUP, 0, "255.255.255.255"))
