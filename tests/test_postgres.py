"""The tests' own PostgreSQL server: two do not meet, and none is left behind by a session that was killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.postgres import postgres_server

_SESSION = """
import time
from tests.postgres import postgres_server

with postgres_server() as server:
    print(server.folder, flush=True)
    time.sleep(3600)
"""
GONE_S = 60.0


async def test_two_servers_do_not_meet() -> None:
    with postgres_server() as one, postgres_server() as two:
        await asyncio.gather(*(server.admin("CREATE DATABASE same") for server in (one, two)))
    assert not one.folder.exists()
    assert not two.folder.exists()


def test_a_session_that_is_killed_leaves_no_server_and_no_folder() -> None:
    session = subprocess.Popen([sys.executable, "-c", _SESSION], stdout=subprocess.PIPE, text=True)
    assert session.stdout is not None
    folder = Path(session.stdout.readline().strip())
    server = Path("/proc") / (folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0]
    assert server.exists()
    session.send_signal(signal.SIGKILL)
    session.communicate()
    deadline = time.monotonic() + GONE_S
    while server.exists() or folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
