"""Settings of the core: a TOML file, and `LOA_…` in the environment above it.

Every value is checked when it is read; `load` turns a mistake into one line that names file and key.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from loa.errors import ConfigError

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """The IP networks, or single addresses, that stand there with commas between them; ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


class CoreConfig(BaseSettings):
    """What `loa serve` can be told."""

    model_config = SettingsConfigDict(env_prefix="LOA_", extra="forbid", frozen=True)

    role: Literal["all", "core", "api"] = Field(
        default="all",
        description="all: everything on one machine; core: the core of several; api: HTTP beside the core.",
    )
    data_dir: Path = Field(default=Path("loa-data"), description="Folder of database, keys and audio.")
    database_url: str = Field(
        default="",
        max_length=2_000,
        repr=False,
        description="Address of the database; empty: `loa.sqlite` in data_dir.",
    )
    redis_url: str = Field(
        default="",
        repr=False,
        description="Address of the Redis that processes share; empty: there is one process.",
    )
    core_url: str = Field(default="", description="Where an api process finds the core: http://host:port.")
    cluster_secret_file: Path | None = Field(
        default=None, description="File with the secret, of 32 bytes or more, that core and api processes share."
    )
    audio_dir: Path | None = Field(
        default=None, description="Folder of programmes, which processes may share; none: `audio` in data_dir."
    )
    http_host: str = Field(default="127.0.0.1", description="Address the HTTP face listens on.")
    http_port: int = Field(default=8080, ge=0, le=65_535, description="Its port; 0 takes a free one.")
    tls_cert: Path | None = Field(
        default=None, description="Its certificate, with what leads to the root, as PEM: then it speaks HTTPS."
    )
    tls_key: Path | None = Field(default=None, description="The certificate's key, as PEM, without a password.")
    behind_proxy: bool = Field(
        default=False, description="TLS ends at a proxy before the core: `loa check` asks for none here."
    )
    media_host: str = Field(default="127.0.0.1", description="Address the media socket is bound to.")
    media_port: int = Field(default=0, ge=0, le=65_535, description="Its UDP port; 0 takes a free one.")
    media_threads: int = Field(
        default=0, ge=0, le=8, description="How many threads send the sound; 0: one for each core, at most 8."
    )
    media_advertise: str = Field(
        default="", max_length=255, description="Media host told to endpoints; empty: the host of their link."
    )
    play_delay_ms: int = Field(
        default=400, ge=50, le=10_000, description="From a frame's sending to its being heard."
    )
    listen_page_ms: int = Field(
        default=200,
        ge=20,
        le=2_000,
        description="Sound on a page of `/listen`: short is soon, long is cheap.",
    )
    listen_burst_ms: int = Field(
        default=1_000, ge=0, le=5_000, description="Of the last sound, what a listener gets at once."
    )
    listeners_most: int = Field(
        default=10_000, ge=0, le=100_000, description="Listeners over HTTP at once, of all broadcasts."
    )
    sign_sound: bool = Field(default=True, description="Signed blocks for all sound, not only emergencies.")
    target_lufs: float = Field(default=-16.0, ge=-31, le=-9, description="EBU R128 loudness of programmes.")
    true_peak_dbtp: float = Field(default=-1.5, ge=-9, le=0, description="True-peak limit of programmes.")
    bitrate_bps: int = Field(default=64_000, ge=6_000, le=256_000, description="Opus bit rate of programmes.")
    max_upload_bytes: int = Field(default=512 * 2**20, ge=1, description="Largest audio file that is taken.")
    max_programme_s: int = Field(
        default=4 * 3600, ge=1, le=4 * 3600, description="Longest sound that is taken, in seconds."
    )
    uploads_at_once: int = Field(default=8, ge=1, le=100, description="Uploads under way at once.")
    uploads_per_caller: int = Field(default=2, ge=1, le=100, description="And of one caller.")
    audio_quota_bytes: int = Field(
        default=0, ge=0, description="How many bytes all programmes may have; 0: as many as the disk holds."
    )
    disk_reserve_bytes: int = Field(
        default=2**29, ge=0, description="Uploads leave so many bytes of the disk free: more than min_free_bytes."
    )
    programme_kept_days: int = Field(
        default=30, ge=0, le=36_500, description="How long the sound of a deleted programme is kept."
    )
    events_kept_days: int = Field(default=30, ge=1, le=36_500, description="How long events can be resumed from.")
    keys_kept_hours: int = Field(default=24, ge=24, le=8_760, description="How long idempotency keys are kept.")
    enrolments_kept_days: int = Field(
        default=30, ge=0, le=36_500, description="How long enrolment codes are shown when they are no longer valid."
    )
    tokens_kept_days: int = Field(
        default=90, ge=0, le=36_500, description="How long tokens are shown when they are good for nothing."
    )
    receipts_kept_days: int = Field(
        default=90, ge=0, le=36_500, description="When receipts become figures by area; 0: never."
    )
    api_requests_per_s: float = Field(
        default=50.0, gt=0, le=100_000, description="Requests a second that one caller may make on average."
    )
    api_burst: int = Field(default=500, ge=1, le=1_000_000, description="And how many at once.")
    session_idle_s: int = Field(
        default=1_800, ge=60, le=86_400, description="A browser session ends when nothing came for so long."
    )
    session_absolute_s: int = Field(
        default=43_200, ge=60, le=7 * 86_400, description="And after so long in any case."
    )
    trusted_proxies: str = Field(
        default="",
        max_length=1_000,
        description="Proxies before the core, by address or network, with commas: they name their callers.",
    )
    enrolment_valid_s: int = Field(
        default=86_400, ge=1, le=30 * 86_400, description="How long an enrolment code is good."
    )

    drain_s: float = Field(
        default=10.0, ge=0, le=300, description="At SIGTERM: how long requests in flight may take to finish."
    )
    min_free_bytes: int = Field(
        default=256 * 2**20, ge=0, description="Not ready with less left on the disk of `data_dir`."
    )

    log_level: LogLevel = Field(default="info", description="debug, info, warning or error.")
    log_format: LogFormat = Field(
        default="auto", description="json, console, or auto: console on a terminal, json anywhere else."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, text: str) -> str:
        networks(text)
        return text

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together: give both, or neither")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the constructor is given: `load` merges the environment, so that options stand above it."""
        return (init_settings,)


def load(path: Path | None = None, **overrides: Any) -> CoreConfig:
    """The settings of `path`, the environment, and `overrides` above both; ConfigError in one line otherwise."""
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror or error}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        environment = EnvSettingsSource(CoreConfig)()
        return CoreConfig(**(values | environment | overrides))
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join([str(path or "settings"), *([".".join(map(str, first["loc"]))] if first["loc"] else [])])
        raise ConfigError(f"{where}: {first['msg']}") from error
