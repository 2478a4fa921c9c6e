"""What is said of a caller whose request is handed over: believed for that request, from who knows the secret."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from loa.control_api.handed_over import HEADER, Caller, ClusterSecret
from loa.errors import ConfigError
from loa.timing.clock import VirtualClock

SECRET = ClusterSecret(b"s" * 32, VirtualClock(10**18))


def request_of(method: str, path: str, header: str | None = None) -> web.Request:
    return make_mocked_request(method, path, headers={} if header is None else {HEADER: header})


@given(
    st.sampled_from(["GET", "POST"]),
    st.from_regex(r"/[a-z0-9/%_]{0,20}(\?[a-z=&]{0,10})?", fullmatch=True),
    st.one_of(st.just(""), st.ip_addresses().map(str)),
)
def test_what_is_said_of_a_caller_is_believed_for_this_request_only(method: str, path: str, address: str) -> None:
    header = SECRET.header(request_of(method, path), Caller(address, "0123456789abcdef"))
    assert SECRET.caller(request_of(method, path, header)) == Caller(address, "0123456789abcdef")
    for other in (request_of("PUT", path, header), request_of(method, f"/other{path}", header)):
        with pytest.raises(ConfigError, match="different secrets"):
            SECRET.caller(other)
    with pytest.raises(ConfigError, match="different secrets"):
        ClusterSecret(b"t" * 32, VirtualClock(10**18)).caller(request_of(method, path, header))


@given(st.text(max_size=120))
def test_any_header_is_believed_or_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        SECRET.caller(request_of("GET", "/", text.replace("\n", "").replace("\r", "")))


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs 32"):
        ClusterSecret(b"s" * 31, VirtualClock())
