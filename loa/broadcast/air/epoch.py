"""The epoch of a running origin: its id, its secret, and the keys that follow from both.

Held in memory only. A restart is a new epoch with a new secret, so no media key is ever met twice.
"""

from __future__ import annotations

import secrets

from loa.codecs import key_schedule
from loa.codecs.key_schedule import EPOCH_SECRET_BYTES, LinkKeys, MediaKey
from loa.codecs.link_wire import SecretMessage


class EpochSecrets:
    """The epoch secrets of one epoch; `serial` counts the renewals (docs/protocol.md, *Secrets*)."""

    def __init__(self, epoch: bytes) -> None:
        self.epoch = epoch
        self.serial = 1
        self._secret = secrets.token_bytes(EPOCH_SECRET_BYTES)

    def renew(self) -> None:
        """A new secret, which whoever was revoked does not get; what is on air keeps its key."""
        self.serial += 1
        self._secret = secrets.token_bytes(EPOCH_SECRET_BYTES)

    def media_key(self, broadcast_id: bytes, generation: int) -> MediaKey:
        """The SRTP master key of a generation that starts now, under the secret in force."""
        return key_schedule.media_key(self._secret, self.epoch, broadcast_id, generation)

    def sealed(self, keys: LinkKeys) -> SecretMessage:
        """The secret in force, sealed for one link. Once for each serial on a link."""
        sealed = key_schedule.seal_secret(keys, epoch=self.epoch, serial=self.serial, epoch_secret=self._secret)
        return SecretMessage(self.epoch, self.serial, sealed)
