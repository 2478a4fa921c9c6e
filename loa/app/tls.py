"""TLS of the HTTP face: the certificate in use, and the one that takes its place when its files were renewed."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import structlog

from loa.errors import ConfigError

WATCH_S = 60.0

log = structlog.get_logger("loa.tls")

_Seen = tuple[tuple[int, int, int], ...]


class ServerTls:
    """A certificate and its key in two PEM files. `context` is what connections are made with.

    ConfigError, which names the setting, when they cannot be read or do not belong together.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._identity()
        self.context = self._loaded()

    def refresh(self) -> bool:
        """Take the files up if they are others now; whether they were. ConfigError: those in use stay."""
        seen = self._identity()
        if seen == self._seen:
            return False
        self._loaded()  # the live context must not be left with one file of two
        self.context.load_cert_chain(self._certificate, self._key)
        self._seen = seen
        return True

    async def run(self) -> None:
        """Look at the files again and again, for ever. Connections that are open go on as they are."""
        said = ""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                if await asyncio.to_thread(self.refresh):
                    log.info("the certificate is another one now", file=str(self._certificate))
                said = ""
            except ConfigError as error:
                # One file of the two may have been written, and not yet the other: the next look will tell.
                if str(error) != said:
                    said = str(error)
                    log.error("the certificate cannot be taken up", error=said)

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except ssl.SSLError as error:
            what = f"{self._certificate} and {self._key}"
            raise ConfigError(
                f"tls_cert, tls_key: {what} are no certificate and its key: {error.reason}"
            ) from error
        except OSError as error:
            raise ConfigError(f"tls_cert, tls_key: {error.filename or self._key}: {error.strerror}") from error
        except _PasswordAsked as error:
            raise ConfigError(f"tls_key: {self._key} is under a password: it must be without") from error
        return context

    def _identity(self) -> _Seen:
        try:
            found = [path.stat() for path in (self._certificate, self._key)]
        except OSError as error:
            raise ConfigError(f"tls_cert, tls_key: {error.filename}: {error.strerror}") from error
        return tuple((status.st_dev, status.st_ino, status.st_mtime_ns) for status in found)


class _PasswordAsked(Exception):
    pass


def _no_password() -> str:
    raise _PasswordAsked
