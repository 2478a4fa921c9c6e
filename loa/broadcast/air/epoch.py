"""The epoch of a running origin: its id, its secrets, and the keys that follow from them.

Held in memory only. A restart is a new epoch with a new secret, so no media key is ever met twice.
"""

from __future__ import annotations

import secrets
from weakref import WeakValueDictionary

from loa.codecs import key_schedule
from loa.codecs.key_schedule import EPOCH_SECRET_BYTES, LinkKeys, MediaKey
from loa.codecs.link_wire import SecretMessage


class EpochSecret:
    """One secret. It is kept for who comes later as long as somebody holds it: whoever is on air by it does."""

    __slots__ = ("__weakref__", "_value", "epoch", "serial")

    def __init__(self, epoch: bytes, serial: int) -> None:
        self.epoch = epoch
        self.serial = serial
        self._value = secrets.token_bytes(EPOCH_SECRET_BYTES)

    def media_key(self, broadcast_id: bytes, generation: int) -> MediaKey:
        """The SRTP master key of a generation."""
        return key_schedule.media_key(self._value, self.epoch, broadcast_id, generation)

    def sealed(self, keys: LinkKeys) -> SecretMessage:
        """The secret, sealed for one link. Once on a link."""
        sealed = key_schedule.seal_secret(keys, epoch=self.epoch, serial=self.serial, epoch_secret=self._value)
        return SecretMessage(self.epoch, self.serial, sealed)


class EpochSecrets:
    """The secrets of one epoch; their serials count the renewals (docs/protocol.md, *Secrets*)."""

    def __init__(self, epoch: bytes) -> None:
        self.epoch = epoch
        self.in_force = EpochSecret(epoch, 1)
        """By which whatever begins now has its key."""
        self._kept = WeakValueDictionary({1: self.in_force})

    @property
    def serial(self) -> int:
        """Of the secret in force."""
        return self.in_force.serial

    def renew(self) -> None:
        """A new secret, which whoever was revoked does not get; what is on air keeps its key."""
        secret = EpochSecret(self.epoch, self.serial + 1)
        self.in_force = self._kept[secret.serial] = secret

    def after(self, serial: int) -> list[EpochSecret]:
        """The secrets with higher serials by which something is or may come on air, the one in force last."""
        return [secret for number, secret in sorted(self._kept.items()) if number > serial]
