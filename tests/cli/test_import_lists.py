"""`loa import`, as it is typed."""

from __future__ import annotations

import asyncio
import csv
import os
import sys
from pathlib import Path

import pytest

from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.edge.speaker import enrol

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def loa(core: Core, *arguments: str, said: str = "") -> tuple[int, str]:
    """The exit code, and all that the command said."""
    where = ["--core", f"http://127.0.0.1:{core.http_port}", "--token-file", str(core.admin_token_file)]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loa", "import", *arguments, *where),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "150"},
    )
    output, _ = await child.communicate(said.encode())
    assert child.returncode is not None
    return child.returncode, output.decode()


async def test_official_units_are_looked_at_asked_about_and_taken_in(core: Core, api: ApiClient) -> None:
    code, output = await loa(core, "official", "31", "--dry-run")
    assert (code, "115" in output) == (0, True)
    code, output = await loa(core, "official", "31", said="n\n")
    assert await api.items("/api/v1/areas") == []
    code, output = await loa(core, "official", "31", said="y\n")
    assert (code, "Đã nhập" in output) == (0, True)
    assert len(await api.items("/api/v1/areas")) == 115
    code, output = await loa(core, "official", "31", "--yes")
    assert (code, "Đã nhập" in output) == (0, False)


async def test_a_table_of_areas_with_a_wrong_row_is_told_by_its_line(
    core: Core, api: ApiClient, tmp_path: Path
) -> None:
    table = tmp_path / "areas.csv"
    table.write_text("ten,cap,cha\nThôn Đồng,hamlet,Phường Phù Liễn\nThôn Sai,hamlet,ở đâu\n", encoding="utf-8-sig")
    code, output = await loa(core, "areas", str(table), "--yes")
    assert code == 1
    assert "line 3: no area has the code or the name ở đâu" in output
    table.write_text("ten,cap,cha\nThôn Đồng,hamlet,Phường Phù Liễn\n", encoding="utf-8")
    assert (await loa(core, "areas", str(table), "--yes", "--source", "QĐ 1"))[0] == 0
    (hamlet,) = (await api.call("GET", "/api/v1/areas?q=thon dong"))["items"]
    assert hamlet["level"] == "hamlet"
    map_file = tmp_path / "areas.geojson"
    map_file.write_text('{"type":"FeatureCollection","features":[]}', encoding="utf-8")
    assert (await loa(core, "areas", str(map_file), "--yes"))[0] == 0


async def test_devices_come_with_codes_that_are_written_once_and_enrol_them(core: Core, tmp_path: Path) -> None:
    table, out = tmp_path / "devices.csv", tmp_path / "codes.csv"
    table.write_text("ten,don vi\nLoa 1,Phường Phù Liễn\nLoa 2,Phường Phù Liễn\n", encoding="utf-8")
    code, _ = await loa(core, "devices", str(table), "--out", str(out), "--dry-run")
    assert (code, out.exists()) == (0, False)
    code, output = await loa(core, "devices", str(table), "--out", str(out), "--yes")
    assert (code, "2 mã đăng ký" in output) == (0, True)
    assert out.stat().st_mode & 0o077 == 0
    rows = list(csv.reader(out.read_text(encoding="utf-8-sig").splitlines()))
    assert [row[:2] for row in rows[1:]] == [["Loa 1", "Phường Phù Liễn"], ["Loa 2", "Phường Phù Liễn"]]
    await enrol.claim(f"http://127.0.0.1:{core.http_port}", rows[1][2], tmp_path / "loa")
    code, output = await loa(core, "devices", str(table), "--out", str(out), "--yes")
    assert (code, "is there already" in output) == (1, True)
    code, output = await loa(core, "devices", str(table), "--out", str(tmp_path / "more.csv"), "--yes")
    assert (code, (tmp_path / "more.csv").exists()) == (0, False)
    code, output = await loa(core, "devices", str(table), "--out", str(tmp_path / "no" / "x.csv"), "--yes")
    assert (code, "No such file" in output) == (1, True)
