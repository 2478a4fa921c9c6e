"""Faults of the program itself: told at once, and kept to what they are about."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from loa import config as settings
from loa.app.core import Core
from loa.app.tasks import in_background
from loa.broadcast.air.media_port import AirEnded, ChannelBound, Command, Counters, Event, MediaPort
from loa.errors import MediaError

WORDS: list[Event] = [AirEnded(b"one", 1, 0, "end", 0), ChannelBound(b"two", ("192.0.2.1", 1)), Counters({})]


async def test_work_that_ends_by_a_fault_is_told_before_the_end_of_all() -> None:
    async def fail() -> None:
        raise KeyError("nobody has thought of this")

    with capture_logs() as logs:
        async with contextlib.AsyncExitStack() as stack:
            in_background(stack, fail())
            in_background(stack, asyncio.sleep(1_000))
            for _ in range(3):
                await asyncio.sleep(0)
            assert [(line["log_level"], "fail" in line["part"]) for line in logs] == [("error", True)]
            with pytest.raises(KeyError):
                await stack.aclose()
    assert len(logs) == 1


class Port:
    """A media process that says some words and is gone."""

    def send(self, command: Command) -> None:
        """Nothing is done."""

    async def events(self) -> AsyncIterator[Event]:
        for word in WORDS:
            yield word

    async def close(self) -> None:
        """It is gone already."""


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return Core(settings.load(data_dir=tmp_path))


async def test_a_word_at_which_control_fails_costs_nothing_but_itself(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Event] = []

    def hear(_media: MediaPort, word: Event) -> None:
        heard.append(word)
        if isinstance(word, AirEnded):
            raise KeyError("nobody has thought of this")

    monkeypatch.setattr(core, "_media_event", hear)
    with capture_logs() as logs:
        await core._follow_media(Port())
    assert heard == WORDS
    assert [(line["log_level"], line["word"]) for line in logs] == [("error", "AirEnded")]


async def test_that_the_media_process_is_gone_is_not_survived(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    def hear(_media: MediaPort, _word: Event) -> None:
        raise MediaError("the media process is gone")

    monkeypatch.setattr(core, "_media_event", hear)
    with pytest.raises(MediaError):
        await core._follow_media(Port())
