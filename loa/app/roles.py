"""What a process is: everything on one machine, the core of several, or one that serves HTTP beside it."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import urlsplit

from loa.broadcast.live import redis_address
from loa.broadcast.store import address as database_address
from loa.config import CoreConfig
from loa.control_api.handed_over import ClusterSecret
from loa.errors import ConfigError
from loa.timing.clock import Clock

MAX_SECRET_BYTES = 4096
_NEEDED = {
    "all": (),
    "core": ("database_url", "redis_url", "cluster_secret_file", "media_advertise"),
    "api": ("database_url", "redis_url", "cluster_secret_file", "core_url", "audio_dir"),
}
_WHY = {
    "database_url": "all processes of a city share one PostgreSQL",
    "redis_url": "they tell each other by Redis what is new",
    "cluster_secret_file": "by it the core knows the processes that it may believe",
    "media_advertise": "an endpoint whose link came by another process cannot guess where the sound is",
    "core_url": "what needs the core is asked of it there",
    "audio_dir": "the folder of programmes that the core reads too",
}


def check_role(config: CoreConfig) -> None:
    """ConfigError, which names the setting, when a role cannot be played with these settings."""
    for name in _NEEDED[config.role]:
        if not getattr(config, name):
            raise ConfigError(f"{name}: role {config.role} needs it: {_WHY[name]}")
    if config.role != "all" and database_address.parse(config.database_url).backend != "postgresql":
        raise ConfigError(f"database_url: role {config.role} needs PostgreSQL: SQLite serves one process")
    if config.redis_url:
        try:
            redis_address.parse(config.redis_url)
        except ConfigError as error:
            raise ConfigError(f"redis_url: {error}") from None
    if config.role == "api":
        _check_core_url(config.core_url)


def _check_core_url(text: str) -> None:
    try:
        url = urlsplit(text)
        good = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        good = False
    if not good or url.path not in ("", "/") or url.query or url.fragment or url.username:
        raise ConfigError("core_url: it is http://host:port or https://host:port, and nothing else")


def cluster_secret(config: CoreConfig, clock: Clock) -> ClusterSecret | None:
    """The secret by which the processes of a city know each other, if one is set; ConfigError."""
    path = config.cluster_secret_file
    if path is None:
        return None
    try:
        return ClusterSecret(_read(path), clock)
    except OSError as error:
        raise ConfigError(f"cluster_secret_file: {path}: {error.strerror or error}") from error
    except ConfigError as error:
        raise ConfigError(f"cluster_secret_file: {path}: {error}") from None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError("others may read it: chmod 600")
        return file.read(MAX_SECRET_BYTES).strip()
