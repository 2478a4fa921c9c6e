"""Addresses of Redis: taken apart, and shown without a password."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.live.redis_address import parse
from loa.errors import ConfigError


def test_one_server() -> None:
    address = parse("redis://redis.example")
    assert (address.hosts, address.service, address.database) == ((("redis.example", 6379),), "", 0)
    address = parse("rediss://loa:m%40t%20kh%E1%BA%A9u@[::1]:7000/3")
    assert (address.hosts, address.database, address.tls) == ((("::1", 7000),), 3, True)
    assert (address.username, address.password) == ("loa", "m@t khẩu")
    assert parse("redis://:geheim@host/1").password == "geheim"


def test_what_sentinels_watch() -> None:
    address = parse("redis+sentinel://loa:mot@a:1,b,[fe80::1]:3/city/2?sentinel_password=h%40i")
    assert address.hosts == (("a", 1), ("b", 26379), ("fe80::1", 3))
    assert (address.service, address.database, address.tls) == ("city", 2, False)
    assert (address.password, address.sentinel_password) == ("mot", "h@i")
    assert parse("rediss+sentinel://a/city").tls


def test_no_password_is_shown() -> None:
    address = parse("redis+sentinel://loa:geheim@a,b/city?sentinel_password=geheim")
    assert address.shown == "redis+sentinel://loa@a,b/city"
    assert "geheim" not in repr(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:6379",
        "http://host",
        "redis://",
        "redis:///0",
        "redis://a,b",
        "redis://host/x",
        "redis://host/-1",
        "redis://host/1/2",
        "redis://host/1000001",
        "redis://host:0",
        "redis://host:65536",
        "redis://us@er:geheim@host",
        "redis://host/0?ssl=1",
        "redis://host/0#1",
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel://a,/city",
        "redis+sentinel://a/city/0/1",
        "redis+sentinel://a/city?quorum=2",
        "redis+cluster://a",
        "redis+://a",
        "redis://[geheim",
    ],
)
def test_what_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert "geheim" not in str(caught.value)


@given(st.text(alphabet="redis+sentl:/@?#,[]%09az.=", max_size=40))
def test_anything_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse(text)
    except ConfigError:
        return
    assert address.hosts
    assert all(host and 0 < port < 65_536 for host, port in address.hosts)
