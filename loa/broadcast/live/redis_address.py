"""Redis's address, as a setting gives it: checked, and in a form that may be shown.

    redis://user:password@host:6379/0                               rediss:// with TLS
    redis+sentinel://user:password@host1:26379,host2/name/0         rediss+sentinel:// with TLS to the server

With Sentinel, `name` is what it calls the server, user and password are the server's; Sentinel's own stand behind
the `?`: `sentinel_username`, `sentinel_password`. What has a meaning of its own (`@ : / ? # %`) is written with
`%`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from loa.errors import ConfigError

PORT, SENTINEL_PORT = 6379, 26379
MAX_DATABASE = 1_000_000
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\[\]:@/,]+)(?::(\d{1,5}))?", re.ASCII)
_FORM = (
    "the Redis address cannot be used: it is redis://user:password@host:6379/0 or "
    "redis+sentinel://user:password@host1:26379,host2:26379/name/0, with % before what has a meaning of its own"
)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is. `hosts` are Sentinels when `service` names what they watch. `shown` tells no password."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    database: int
    tls: bool
    shown: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    sentinel_username: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)


def parse(text: str) -> RedisAddress:
    """The address that `text` is; ConfigError, which does not repeat it, when it is none."""
    try:
        parts = urlsplit(text)
        query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise ConfigError(_FORM) from None
    kind, plus, sentinel = parts.scheme.partition("+")
    if kind not in ("redis", "rediss") or sentinel != ("sentinel" if plus else "") or "#" in text:
        raise ConfigError(_FORM)
    if set(query) - ({"sentinel_username", "sentinel_password"} if sentinel else set()):
        raise ConfigError(_FORM)
    credentials, at, listed = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    hosts = _hosts(listed, SENTINEL_PORT if sentinel else PORT)
    service, database = _path(parts.path, sentinel=bool(sentinel))
    if not hosts or (len(hosts) > 1 and not sentinel) or "@" in credentials:
        raise ConfigError(_FORM)
    return RedisAddress(
        hosts=hosts,
        service=service,
        database=database,
        tls=kind == "rediss",
        shown=f"{parts.scheme}://{username}{at}{listed}{parts.path}",
        username=unquote(username),
        password=unquote(password),
        **query,
    )


def _hosts(listed: str, port: int) -> tuple[tuple[str, int], ...]:
    found = []
    for each in listed.split(","):
        match = _HOST.fullmatch(each)
        if match is None or not 0 < int(match[2] or port) <= 65_535:
            raise ConfigError(_FORM)
        found.append((match[1].strip("[]"), int(match[2] or port)))
    return tuple(found)


def _path(path: str, *, sentinel: bool) -> tuple[str, int]:
    """What Sentinel calls the server, and the number of the database."""
    named = path.strip("/").split("/") if path.strip("/") else []
    service = unquote(named.pop(0)) if sentinel and named else ""
    number = named.pop(0) if named else "0"
    if named or bool(service) != sentinel or re.fullmatch("[0-9]{1,7}", number) is None:
        raise ConfigError(_FORM)
    if int(number) > MAX_DATABASE:
        raise ConfigError(_FORM)
    return service, int(number)
