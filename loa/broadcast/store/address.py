"""The database's address, as a setting gives it: checked, with its driver, and in a form that may be shown.

    sqlite:///relative.db   sqlite:////absolute.db
    postgresql://user:password@host:5432/name?sslmode=verify-full     several hosts: host1:5432,host2:5432

What libpq understands behind the `?` is understood here; `PGPASSWORD` and a password file work too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from loa.errors import ConfigError

_SQLITE = "sqlite+aiosqlite"
_POSTGRESQL = "postgresql+asyncpg"
_SCHEMES = {
    "sqlite": _SQLITE,
    _SQLITE: _SQLITE,
    "postgres": _POSTGRESQL,
    "postgresql": _POSTGRESQL,
    _POSTGRESQL: _POSTGRESQL,
}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:@/]+)(:\d{1,5})?", re.ASCII)
_FORM = "it is sqlite:///path or postgresql://user@host/name, with % before what has a meaning of its own"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `shown` tells no password."""

    backend: str
    """sqlite or postgresql."""
    shown: str
    url: URL = field(repr=False)
    """For SQLAlchemy."""
    dsn: str = field(default="", repr=False)
    """For asyncpg, when it is PostgreSQL."""


def sqlite_address(path: Path) -> str:
    """The address of a database in a file."""
    return URL.create(_SQLITE, database=str(path.absolute())).render_as_string()


def file_of(text: str) -> Path | None:
    """The file of a database that is in one; ConfigError for no address."""
    database = parse(text).url.database
    return None if database is None else Path(database)


def parse(text: str) -> Address:
    """The address that `text` is; ConfigError, which does not repeat it, when it is none."""
    scheme, separator, rest = text.partition("://")
    known = _SCHEMES.get(scheme)
    if known is None or not separator:
        raise ConfigError(f"the database address cannot be used: {_FORM}")
    return _sqlite(f"{known}://{rest}") if known == _SQLITE else _postgresql(f"postgresql://{rest}")


def _sqlite(text: str) -> Address:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(f"the database address cannot be used: {_FORM}") from None
    if not url.database or url.database == ":memory:" or url.host:
        raise ConfigError("the database address cannot be used: it names no file, and what is in memory is lost")
    return Address("sqlite", f"sqlite:///{url.database}", url)


def _postgresql(text: str) -> Address:
    try:
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise ConfigError(f"the database address cannot be used: {_FORM}") from None
    user_and_password, _, hosts = parts.netloc.rpartition("@")
    if (
        "#" in text
        or "@" in user_and_password
        or not all(_HOST.fullmatch(host) for host in hosts.split(",") if hosts)
        or not parts.path.strip("/")
    ):
        raise ConfigError(f"the database address cannot be used: {_FORM}")
    return Address("postgresql", _shown(parts, query.get("host", "")), URL.create(_POSTGRESQL), text)


def _shown(parts: SplitResult, host: str) -> str:
    credentials, at, hosts = parts.netloc.rpartition("@")
    user = credentials.partition(":")[0]
    return f"postgresql://{user}{at}{hosts or host}{parts.path}"
