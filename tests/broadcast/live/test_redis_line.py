"""The line to Redis: down at once, up again by itself, and behind Sentinel on whichever server leads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from loa.broadcast.live import redis_line
from loa.broadcast.live.redis_address import RedisAddress, parse
from loa.broadcast.live.redis_line import RedisLine
from loa.errors import LiveError
from tests.valkey import ValkeyServer, valkey_server


async def answered(line: RedisLine, *command: str) -> object:
    """What Redis answers once it does."""
    while True:
        try:
            return await line.ask(*command)
        except LiveError:
            await asyncio.sleep(0.01)


async def test_it_is_down_while_redis_is_and_up_again_by_itself(valkey: ValkeyServer, line: RedisLine) -> None:
    double = line.script("return ARGV[1] * 2")
    assert await double(["key"], [21]) == 42
    valkey.kill()
    for _ in range(3):
        with pytest.raises(LiveError):
            await line.ask("PING")
    was_up = line.up
    valkey.start()
    assert await answered(line, "ECHO", "a") == b"a"
    assert (was_up, line.up) == (False, True)
    assert await double(["key"], [21]) == 42  # Redis has forgotten the script


async def test_one_restart_between_two_questions_does_not_show(valkey: ValkeyServer, line: RedisLine) -> None:
    await line.ask("PING")
    valkey.kill()
    valkey.start()
    assert await line.ask("ECHO", "a") == b"a"


async def test_many_at_once_have_their_turn(line: RedisLine) -> None:
    answers = await asyncio.gather(*(line.ask("ECHO", str(number)) for number in range(200)))
    assert answers == [str(number).encode() for number in range(200)]


async def test_who_does_not_answer_holds_up_one_question_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_line, "RETRY_S", 3600)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = RedisLine(parse(f"redis://127.0.0.1:{silent.getsockname()[1]}"), answer_s=0.05)
        questions = (line.ask("PING") for _ in range(100))
        errors = await asyncio.gather(*questions, return_exceptions=True)
        assert all(isinstance(error, LiveError) for error in errors)
        silent.setblocking(False)
        connections = 0
        while True:
            try:
                silent.accept()[0].close()
            except BlockingIOError:
                break
            connections += 1
        assert connections <= 2 * redis_line.CONNECTIONS
        await line.close()


async def test_a_password_is_used_and_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with valkey_server(tmp_path, "--requirepass", "geheim", "--protected-mode", "no") as server:
        good, bad = (
            RedisLine(parse(f"redis://:{word}@127.0.0.1:{server.port}")) for word in ("geheim", "geheimer")
        )
        assert await good.ask("ECHO", "a") == b"a"
        with pytest.raises(LiveError) as caught:
            await bad.ask("PING")
        assert "geheim" not in str(caught.value) + "".join(capsys.readouterr())
        await good.close()
        await bad.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[ValkeyServer, ValkeyServer, ValkeyServer]]:
    """A leader, its follower, and a Sentinel that watches them."""
    with (
        valkey_server(tmp_path) as leader,
        valkey_server(tmp_path, "--replicaof", "127.0.0.1", str(leader.port)) as follower,
    ):
        conf = tmp_path / "sentinel.conf"
        conf.write_text(
            f"sentinel monitor city 127.0.0.1 {leader.port} 1\n"
            "sentinel down-after-milliseconds city 200\n"
            "sentinel failover-timeout city 2000\n",
            encoding="utf-8",
        )
        with valkey_server(tmp_path, str(conf), "--sentinel") as sentinel:
            yield leader, follower, sentinel


async def said(server: ValkeyServer, command: bytes, wanted: bytes) -> None:
    """Wait until the server says so."""
    while True:
        if wanted in server.ask(command):
            return
        await asyncio.sleep(0.02)


async def test_behind_sentinel_the_server_that_leads_is_asked(
    watched: tuple[ValkeyServer, ValkeyServer, ValkeyServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_line, "RETRY_S", 0.05)
    leader, follower, sentinel = watched
    await said(sentinel, b"INFO sentinel", b"slaves=1")
    await said(follower, b"INFO replication", b"master_link_status:up")
    line = RedisLine(parse(f"redis+sentinel://127.0.0.1:{sentinel.port}/city"))
    assert await line.ask("SET", "where", "first") is True
    leader.kill()
    assert await answered(line, "SET", "where", "second") is True
    assert b"second" in follower.ask(b"GET where")
    await line.close()


def test_nothing_is_opened_before_it_is_asked() -> None:
    RedisLine(RedisAddress((("nowhere.invalid", 1),), "", 0, tls=False, shown=""))
