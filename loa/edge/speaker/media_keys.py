"""The epoch secrets that an endpoint was given, and the keys of sound that follow from them."""

from __future__ import annotations

from loa.codecs import key_schedule
from loa.edge.speaker.broadcast_receiver import BroadcastReceiver

MAX_SECRETS = 64


class MediaKeys:
    """Secrets of one epoch by serial, the newest MAX_SECRETS."""

    def __init__(self) -> None:
        self._secrets: dict[int, bytes] = {}

    def take(self, serial: int, secret: bytes) -> None:
        """A secret has come."""
        self._secrets.pop(serial, None)
        self._secrets[serial] = secret
        while len(self._secrets) > MAX_SECRETS:
            del self._secrets[next(iter(self._secrets))]

    def clear(self) -> None:
        """Another epoch begins."""
        self._secrets.clear()

    def give(self, receiver: BroadcastReceiver) -> None:
        """Give a receiver its key, if its secret is here."""
        tune = receiver.tune
        secret = self._secrets.get(tune.secret_serial)
        if secret is not None:
            receiver.set_key(key_schedule.media_key(secret, tune.epoch, tune.broadcast_id, tune.generation))
