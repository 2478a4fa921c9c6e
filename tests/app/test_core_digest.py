"""A core that starts after a day on which its log was written leaves that day's digest."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from loa import config as settings
from loa.app.core import Core
from loa.broadcast.journal.digest_folder import DigestFolder
from loa.timing.clock import SystemClock
from loa.timing.local_days import day_of

DAY_NS = 86_400_000_000_000


class _Yesterday(SystemClock):
    def utc_ns(self) -> int:
        return super().utc_ns() - DAY_NS


async def test_the_digest_of_the_day_before_is_written_at_the_start(tmp_path: Path) -> None:
    config = settings.load(data_dir=tmp_path / "core", http_port=0, media_port=0)
    folder = DigestFolder(config.data_dir / "audit")
    async with Core(config, _Yesterday()):
        pass  # its first start makes the administrator's token, which is the log's first entry
    assert folder.days() == []
    async with Core(config) as core:
        async with asyncio.timeout(30):
            while True:
                if folder.days():
                    break
                await asyncio.sleep(0.01)
        (digest,) = folder.all()
        assert (digest.seq, digest.day) == (1, day_of(digest.made_ms) - timedelta(days=1))
        async for links in core.services.ledger.links():
            assert [link.hash for link in links] == [digest.hash]
