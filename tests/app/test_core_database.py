"""A whole core on PostgreSQL: what it was told is there after a restart, and the password is nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa import config as settings
from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.errors import ConfigError, StoreError
from tests.postgres import PostgresServer


async def test_a_core_on_postgresql_knows_after_a_restart_what_it_was_told(
    postgres: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with postgres.database() as url:
        config = settings.load(
            data_dir=tmp_path,
            database_url=url.replace("loa@", "loa:geheim@"),
            http_port=0,
            media_port=0,
        )
        made: dict[str, object] = {}
        for _ in range(2):
            async with Core(config) as core:
                token = core.admin_token_file.read_text(encoding="utf-8").strip()
                async with ApiClient(f"http://127.0.0.1:{core.http_port}", token) as api:
                    if not made:
                        made = await api.call("POST", "/api/v1/areas", {"name": "Hải Phòng", "level": "city"})
                    assert await api.call("GET", f"/api/v1/areas/{made['id']}") == made
    assert not (tmp_path / "loa.sqlite").exists()
    assert "geheim" not in repr(config) + str(config) + "".join(capsys.readouterr())


async def test_a_core_without_its_database_says_so_and_does_not_start(tmp_path: Path) -> None:
    for url, expected in (
        ("postgresql://loa:geheim@/loa?host=/nowhere", StoreError),
        ("mysql://loa:geheim@host/loa", ConfigError),
    ):
        config = settings.load(data_dir=tmp_path, database_url=url, http_port=0, media_port=0)
        with pytest.raises(expected) as caught:
            async with Core(config):
                pass
        assert "geheim" not in str(caught.value)
