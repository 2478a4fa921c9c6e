"""sd_notify over real sockets: what systemd hears, and that nothing is said where nobody asks."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from loa.app.sd_notify import MAX_STATUS_CHARS, ServiceManager, Teller

SECOND_NS = 1_000_000_000


class Ear:
    """A datagram socket as systemd opens it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def heard(self) -> list[str]:
        """All that has come since the last call."""
        said = []
        while True:
            try:
                said.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def ear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ear]:
    made = Ear(f"@loa-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify"))
    yield made
    made.close()


def test_each_message_is_one_datagram(ear: Ear) -> None:
    with ServiceManager.take({"NOTIFY_SOCKET": ear.address}) as manager:
        manager.ready()
        manager.status("sẵn sàng\nREADY=1  two")
        manager.status("x" * 1000)
        manager.alive()
        manager.stopping()
    assert ear.heard() == [
        "READY=1",
        "STATUS=sẵn sàng READY=1 two",
        "STATUS=" + "x" * MAX_STATUS_CHARS,
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_without_a_service_manager_nothing_is_said(tmp_path: Path) -> None:
    environment = {"WATCHDOG_USEC": "nonsense", "PATH": "/bin"}
    with capture_logs() as logs, ServiceManager.take(environment) as manager:
        manager.ready()
    assert logs == []
    assert manager.watchdog_s is None
    assert environment == {"PATH": "/bin"}


def test_the_variables_are_taken_so_that_no_child_speaks_for_the_core(ear: Ear) -> None:
    environment = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    with ServiceManager.take(environment) as manager:
        assert manager.watchdog_s == 3.0
    assert environment == {}


@pytest.mark.parametrize("address", ["notify", "/", "@", "vsock:2:1234", " /run/x"])
def test_an_address_that_cannot_be_is_a_warning_and_nobody_is_told(address: str) -> None:
    with capture_logs() as logs, ServiceManager.take({"NOTIFY_SOCKET": address}) as manager:
        manager.ready()
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "NOTIFY_SOCKET" in logs[0]["event"]


@pytest.mark.parametrize("period", ["0", "-5", "3e6", "٣", "3000000 ", "9" * 19])
def test_a_period_that_cannot_be_is_a_warning_and_there_is_no_watchdog(ear: Ear, period: str) -> None:
    with capture_logs() as logs:
        manager = ServiceManager.take({"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": period})
    assert manager.watchdog_s is None
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "WATCHDOG_USEC" in logs[0]["event"]
    with manager:
        manager.ready()
    assert ear.heard() == ["READY=1"]


def test_another_processs_watchdog_is_not_ours(ear: Ear) -> None:
    with capture_logs() as logs:
        manager = ServiceManager.take(
            {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid() + 1)}
        )
    assert manager.watchdog_s is None
    assert logs == []


def test_a_manager_that_is_away_is_one_warning_and_is_told_again_when_it_is_back(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with ServiceManager.take({"NOTIFY_SOCKET": address}) as manager:
        with capture_logs() as logs:
            manager.ready()
            manager.alive()
        assert [entry["log_level"] for entry in logs] == ["warning"]
        ear = Ear(address)
        manager.status("here")
        assert ear.heard() == ["READY=1", "STATUS=here"]
        ear.close()


def test_what_a_full_socket_did_not_take_is_told_later_but_for_beats(tmp_path: Path) -> None:
    ear = Ear(str(tmp_path / "notify"))
    with ServiceManager(ear.address) as manager:
        teller = Teller(manager)
        while len(manager.waiting) == 0:
            manager.status("so it goes")
        for status in ("on air: 0", "on air: 1"):
            teller.tell(0, status, alive=False)
        manager.alive()
        manager.stopping()
        assert "STATUS=on air: 1" not in ear.heard()
        teller.tell(0, "on air: 1", alive=False)
        assert ear.heard() == ["STATUS=on air: 1", "STOPPING=1"]
    ear.close()


def test_a_full_socket_does_not_hold_up_the_core(tmp_path: Path) -> None:
    ear = Ear(str(tmp_path / "notify"))
    with ServiceManager.take({"NOTIFY_SOCKET": ear.address}) as manager, capture_logs() as logs:
        for _ in range(5_000):
            manager.alive()
    assert {entry["log_level"] for entry in logs} == {"warning"}
    assert len(logs) == 1
    ear.close()


def test_the_watchdog_gets_beats_at_half_its_patience_while_all_is_alive(tmp_path: Path) -> None:
    ear = Ear(str(tmp_path / "notify"))
    with ServiceManager(ear.address, watchdog_s=30.0) as manager:
        teller = Teller(manager)
        beats = []
        for second in range(100):
            teller.tell(second * SECOND_NS, "ready", alive=not 40 <= second < 70)
            beats += [second for said in ear.heard() if said == "WATCHDOG=1"]
    assert beats == [0, 15, 30, 70, 85]
    ear.close()


def test_a_status_is_told_when_it_changes(tmp_path: Path) -> None:
    ear = Ear(str(tmp_path / "notify"))
    with ServiceManager(ear.address) as manager:
        teller = Teller(manager)
        for status in ("ready", "ready", "not ready: x", "not ready: x", "ready"):
            teller.tell(0, status, alive=True)
    assert ear.heard() == ["STATUS=ready", "STATUS=not ready: x", "STATUS=ready"]
    ear.close()


@given(st.dictionaries(st.sampled_from(["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]), st.text(max_size=30)))
def test_whatever_the_environment_says_a_core_starts(environment: dict[str, str]) -> None:
    with capture_logs():
        manager = ServiceManager.take(environment)
    assert environment == {}
    assert manager.watchdog_s is None or manager.watchdog_s > 0
