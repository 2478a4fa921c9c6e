"""Who a speaker is and whom it believes, as it stands on disk (docs/protocol.md, *Secrets*, *Enrolment*)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loa.codecs import signed
from loa.codecs.authority import Authority
from loa.codecs.signed import KEY_BYTES, Kind, SigningKey
from loa.codecs.statement_wire import Placement
from loa.edge.speaker.state_folder import StateFolder
from loa.errors import AuthorityError, ConfigError, WireError
from loa.model import ID_BYTES

DEVICE_KEY = "device.key"
ROOT_KEY = "root.pub"
KEY_LIST = "key_list"
PLACEMENT = "placement"
ENDPOINT = "endpoint"


@dataclass
class Identity:
    """An enrolled device. `authority` and `placement` change while it runs; see `take_*`."""

    folder: StateFolder
    device_key: SigningKey
    endpoint_id: bytes
    authority: Authority
    placement: Placement

    def keep_key_list(self) -> None:
        """Write down the key list that `authority` holds. StoreError when that fails."""
        self.folder.write(KEY_LIST, self.authority.key_list_envelope)

    def take_placement(self, envelope: bytes) -> bool:
        """Take a placement whose signature has been verified; False unless its serial is higher than the held."""
        placement = _placement(envelope)
        if placement.endpoint_id != self.endpoint_id or placement.serial <= self.placement.serial:
            return False
        self.folder.write(PLACEMENT, envelope)
        self.placement = placement
        return True


def load(path: Path) -> Identity | None:
    """The identity in a state folder; None when the device has not been enrolled. ConfigError when it is broken."""
    folder = StateFolder(path)
    endpoint_id = folder.read(ENDPOINT)
    if endpoint_id is None:
        return None
    seed = _needed(folder, DEVICE_KEY, KEY_BYTES)
    root = _needed(folder, ROOT_KEY, KEY_BYTES)
    try:
        identity = Identity(
            folder,
            SigningKey(seed),
            endpoint_id,
            Authority(root, _needed(folder, KEY_LIST)),
            _placement(_needed(folder, PLACEMENT)),
        )
    except (WireError, AuthorityError) as error:
        raise ConfigError(f"the state folder {path} is damaged: {error}; enrol again in an empty one") from error
    if len(endpoint_id) != ID_BYTES or identity.placement.endpoint_id != endpoint_id:
        raise ConfigError(f"the state folder {path} is damaged: the placement is another device's")
    return identity


def device_key(folder: StateFolder) -> SigningKey:
    """The device's key, made and written down the first time. It exists before the first claim, so that a claim
    whose answer was lost can be made again by the same device."""
    seed = folder.read(DEVICE_KEY)
    if seed is None:
        key = SigningKey.generate()
        folder.write(DEVICE_KEY, key.seed)
        return key
    if len(seed) != KEY_BYTES:
        raise ConfigError(f"{folder.path / DEVICE_KEY} holds no key")
    return SigningKey(seed)


def enrolled(
    folder: StateFolder, *, endpoint_id: bytes, root_key: bytes, key_list: bytes, placement: bytes
) -> None:
    """Write down what a verified claim answered. The endpoint's id comes last: it is there when all is."""
    folder.write(ROOT_KEY, root_key)
    folder.write(KEY_LIST, key_list)
    folder.write(PLACEMENT, placement)
    folder.write(ENDPOINT, endpoint_id)


def _needed(folder: StateFolder, name: str, size: int | None = None) -> bytes:
    data = folder.read(name)
    if data is None:
        raise ConfigError(f"{folder.path / name} is missing")
    if size is not None and len(data) != size:
        raise ConfigError(f"{folder.path / name} has {len(data)} bytes where {size} belong")
    return data


def _placement(envelope: bytes) -> Placement:
    return Placement.decode(signed.parse(envelope, Kind.PLACEMENT).body)
