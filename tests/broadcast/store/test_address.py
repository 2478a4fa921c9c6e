"""The database's address: what is understood, what is refused, and that no password is ever shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.store.address import parse, sqlite_address
from loa.broadcast.store.database import Database
from loa.errors import ConfigError


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_sqlite_with_and_without_its_driver(scheme: str) -> None:
    address = parse(f"{scheme}:////var/lib/loa/loa.sqlite")
    assert (address.backend, address.url.drivername) == ("sqlite", "sqlite+aiosqlite")
    assert address.url.database == "/var/lib/loa/loa.sqlite"
    assert address.shown == "sqlite:////var/lib/loa/loa.sqlite"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_postgresql_with_and_without_its_driver(scheme: str) -> None:
    address = parse(f"{scheme}://loa:geheim@db.local:5433/loa?sslmode=require")
    assert (address.backend, address.url.drivername) == ("postgresql", "postgresql+asyncpg")
    assert address.dsn == "postgresql://loa:geheim@db.local:5433/loa?sslmode=require"
    assert address.shown == "postgresql://loa@db.local:5433/loa"


@pytest.mark.parametrize(
    ("given_url", "shown"),
    [
        ("postgresql:///loa", "postgresql:///loa"),
        ("postgresql://db/loa", "postgresql://db/loa"),
        ("postgresql://u@[::1]:1/loa", "postgresql://u@[::1]:1/loa"),
        ("postgresql://u:p@one:1,two:2/loa", "postgresql://u@one:1,two:2/loa"),
        ("postgresql://u@/loa?host=/run/pg&password=geheim", "postgresql://u@/run/pg/loa"),
        ("postgresql://u:p%40ss%2F%23@db/loa", "postgresql://u@db/loa"),
    ],
)
def test_forms_of_postgresql_addresses(given_url: str, shown: str) -> None:
    assert parse(given_url).shown == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "geheim",
        "mysql://u:geheim@h/x",
        "postgresql+psycopg2://u:geheim@h/x",
        "sqlite+pysqlite:///x.db",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite://geheim/x.db",
        "postgresql://u:geheim@h",
        "postgresql://u:geheim@h/",
        "postgresql://u:ge@heim@h/x",
        "postgresql://u:gehe#im@h/x",
        "postgresql://u:gehe/im@h/x",
        "postgresql://u:geheim@h:port/x",
        "postgresql://u:geheim@[::1/x",
        "postgresql://u:p@h/x?geheim",
    ],
)
async def test_what_is_no_address_is_a_clear_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        await Database.open(url)
    assert "geheim" not in str(caught.value)
    assert "heim" not in str(caught.value)


async def test_settings_of_the_driver_that_are_none_are_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="sslmode") as caught:
        await Database.open("postgresql://u:geheim@127.0.0.1/x?sslmode=perhaps")
    assert "geheim" not in str(caught.value)


async def test_without_its_driver_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigError, match=r"loa\[cluster\]"):
        await Database.open("postgresql://u@127.0.0.1/x")


@given(password=st.text(st.characters(codec="utf-8"), min_size=1), query=st.booleans())
def test_no_password_however_it_is_written_is_shown(password: str, query: bool) -> None:
    secret = f"<{password}>"
    url = f"postgresql://u@h/x?password={secret}" if query else f"postgresql://u:{secret}@h/x"
    try:
        address = parse(url)
    except ConfigError as error:
        told = str(error)
    else:
        told = address.shown + repr(address)
    assert secret not in told


@given(text=st.text())
def test_anything_is_an_address_or_a_config_error(text: str) -> None:
    for given_url in (text, f"postgresql://{text}", f"sqlite:///{text}"):
        try:
            address = parse(given_url)
        except ConfigError:
            continue
        assert address.backend in ("sqlite", "postgresql")


@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1))
def test_a_file_of_any_name_has_an_address(name: str) -> None:
    path = Path("/var/lib") / name
    assert parse(sqlite_address(path)).url.database == str(path)
