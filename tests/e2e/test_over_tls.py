"""A speaker enrols, links and plays over TLS; one that does not know the authority does not."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from loa.app.api_client import ApiClient
from loa.app.demo.stage import Process
from loa.errors import LoaError
from tests.certificates import Authority


async def _speaker(folder: Path, url: str, code: str) -> Process:
    name = f"speaker-{code[:5]}"
    arguments = ["speaker", f"--core={url}", f"--state={folder / name}", f"--code={code}"]
    return await Process.start(name, [*arguments, f"--output=wav:{folder / (name + '-wav')}"], folder)


async def test_a_speaker_plays_over_tls(tmp_path: Path, six_seconds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("core")
    settings = tmp_path / "loa.toml"
    lines = (f"data_dir = '{tmp_path / 'core'}'", "http_port = 0", f"tls_cert = '{cert}'", f"tls_key = '{key}'")
    settings.write_text("\n".join(lines))
    core = await Process.start("core", ["serve", f"--config={settings}"], tmp_path)
    processes = [core]
    try:
        url = await core.line("loa: ready on ")
        assert url.startswith("https://")
        token = (tmp_path / "core" / "admin.token").read_text().strip()
        async with ApiClient(url, token, ssl.create_default_context(cafile=str(authority.file))) as api:
            area = await api.create_area("Phường An Biên", "commune")
            stranger = await _speaker(tmp_path, url, await api.enrolment_code(area, "Loa không tin"))
            with pytest.raises(LoaError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.line("never")
            await stranger.stop()

            monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
            processes.append(await _speaker(tmp_path, url, await api.enrolment_code(area, "Loa tin")))
            while True:
                rows = await api.items("/api/v1/endpoints")
                if any(row["media_bound"] and row["status"] for row in rows):
                    break
                await asyncio.sleep(0.1)
            programme = await api.upload("Sáu giây", six_seconds)
            broadcast = await api.start(programme["id"], areas=[area])
            while True:
                (receipt,) = await api.items(f"/api/v1/broadcasts/{broadcast['id']}/receipts") or [{"state": ""}]
                if receipt["state"] in ("finished", "refused"):
                    break
                await asyncio.sleep(0.2)
            assert (receipt["state"], receipt["result"]) == ("finished", "end")
    finally:
        for process in reversed(processes):
            await process.stop()
