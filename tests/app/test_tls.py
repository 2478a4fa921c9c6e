"""The core speaks HTTPS and WSS when it has a certificate, and takes up a renewed one while it runs."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization

from loa import config as settings
from loa.app.core import Core
from loa.app.tls import ServerTls
from loa.codecs.link_wire import SUBPROTOCOL
from loa.errors import ConfigError
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def _serial(url: str, trusted: ssl.SSLContext) -> int:
    """The serial number of the certificate that is shown now."""
    host, port = url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusted)
    found: dict[str, str] = writer.get_extra_info("peercert")
    writer.close()
    return int(found["serialNumber"], 16)


async def test_a_core_with_a_certificate_speaks_https_and_wss(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("core")
    config = settings.load(data_dir=tmp_path / "core", http_port=0, media_port=0, tls_cert=cert, tls_key=key)
    trusted = ssl.create_default_context(cafile=str(authority.file))
    async with Core(config) as core, aiohttp.ClientSession() as session:
        assert core.url.startswith("https://127.0.0.1:")
        async with session.get(f"{core.url}/readyz", ssl=trusted) as answer:
            assert answer.status == 200
        wss = core.url.replace("https", "wss") + "/link"
        async with session.ws_connect(wss, protocols=(SUBPROTOCOL,), ssl=trusted) as link:
            assert link.protocol == SUBPROTOCOL
        with pytest.raises(aiohttp.ClientError):
            await session.get(core.url.replace("https", "http") + "/readyz")
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"{core.url}/readyz")


async def test_a_renewed_certificate_is_shown_to_who_comes_next(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("core")
    trusted = ssl.create_default_context(cafile=str(authority.file))
    config = settings.load(data_dir=tmp_path / "core", http_port=0, media_port=0, tls_cert=cert, tls_key=key)
    async with Core(config) as core:
        tls = core._face.tls
        assert tls is not None
        before = await _serial(core.url, trusted)
        assert not tls.refresh()
        newer_cert, newer_key = authority.issue("newer")
        newer_cert.replace(cert)
        with pytest.raises(ConfigError, match="no certificate and its key"):
            tls.refresh()
        assert await _serial(core.url, trusted) == before, "half of a renewal changes nothing"
        newer_key.replace(key)
        assert tls.refresh()
        assert await _serial(core.url, trusted) != before


def test_files_that_are_of_no_use_are_told_by_setting_and_name(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("core")
    _, other = authority.issue("other")
    with pytest.raises(ConfigError, match=r"tls_cert, tls_key: .*none.pem: No such file"):
        ServerTls(tmp_path / "none.pem", key)
    with pytest.raises(ConfigError, match="no certificate and its key: KEY_VALUES_MISMATCH"):
        ServerTls(cert, other)
    with pytest.raises(ConfigError, match="no certificate and its key"):
        ServerTls(key, key)
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ConfigError, match="under a password"):
        ServerTls(cert, key)


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tls_cert and tls_key belong together"):
        settings.load(tls_cert=tmp_path / "cert.pem")
