"""Who asks, when there are proxies between: nobody chooses their own address."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from loa import config as settings
from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.config import networks
from loa.control_api.caller import named_by
from loa.errors import ConfigError
from tests.control_api.browsers import Browser

PROXY = networks("127.0.0.1, 10.1.0.0/16, 2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "named"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6", "198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8::1", ["2001:db9::7"], "2001:db9::7"),
        ("127.0.0.1", ["nonsense"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1, "], "127.0.0.1"),
        ("", ["198.51.100.1"], ""),
    ],
)
def test_a_proxy_that_is_trusted_names_its_caller_and_no_other_does(
    peer: str, forwarded: list[str], named: str
) -> None:
    assert named_by(peer, forwarded, PROXY) == named


@given(st.lists(st.text(max_size=40), max_size=4))
def test_what_a_caller_writes_before_the_proxy_changes_nothing(written: list[str]) -> None:
    assert named_by("127.0.0.1", [*written, "198.51.100.1"], PROXY) == "198.51.100.1"
    assert named_by("203.0.113.7", written, PROXY) == "203.0.113.7"
    assert named_by("127.0.0.1", written, ()) == "127.0.0.1"


def test_a_proxy_that_is_no_address_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="trusted_proxies"):
        settings.load(trusted_proxies="10.0.0.1/8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def core(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Core]:
    folder = tmp_path_factory.mktemp("behind")
    config = settings.load(data_dir=folder, http_port=0, media_port=0, trusted_proxies="127.0.0.1")
    async with Core(config) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
async def test_behind_a_proxy_one_guesser_slows_only_themselves(api: ApiClient) -> None:
    async with Browser(api.url) as browser:
        slugs = [
            (await browser.sign_in("khong.co", "con mèo trèo cây", X_Forwarded_For=f"6.6.6.{n}, 203.0.113.7")).slug
            for n in range(7)
        ]
        assert (slugs[0], slugs[-1]) == ("proof-wrong", "proof-locked")
        other = await browser.sign_in("khong.co", "con mèo trèo cây", X_Forwarded_For="198.51.100.1")
        assert other.slug == "proof-wrong"
    (entry,) = (await api.call("GET", "/api/v1/audit?action=session.refuse"))["items"]
    assert "203.0.113.7" in str(entry)
    assert "6.6.6" not in str(entry)
