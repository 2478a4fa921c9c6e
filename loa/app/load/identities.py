"""Who the endpoints of a load run are, on disk: one small file for thousands, so that a second run starts at once.

one JSON line: the form, a random tag, root key, key list
one JSON line for each endpoint: number, name, endpoint id, device key, placement
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loa.codecs.authority import Authority
from loa.codecs.enrolment_wire import from_base64, to_base64
from loa.codecs.signed import KEY_BYTES, Kind, SigningKey, parse
from loa.codecs.statement_wire import Placement
from loa.durable import replace_file
from loa.edge.speaker.identity import Identity
from loa.edge.speaker.state_folder import StateFolder
from loa.errors import AuthorityError, ConfigError, WireError
from loa.model import ID_BYTES

_FORM = "loa-load/1"


class MemoryFolder(StateFolder):
    """What an endpoint keeps, for as long as the process lives. It never fails, and never waits for a disk."""

    def __init__(self) -> None:
        self.path = Path(os.devnull)
        self._files: dict[str, bytes] = {}

    def read(self, name: str) -> bytes | None:
        """See StateFolder."""
        return self._files.get(name)

    def write(self, name: str, data: bytes) -> None:
        """See StateFolder."""
        self._files[name] = data


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One enrolled endpoint. `placement`: its envelope, as the claim was answered."""

    number: int
    name: str
    endpoint_id: bytes
    device_seed: bytes
    placement: bytes

    def __repr__(self) -> str:
        return f"Enrolled({self.number}, {self.name!r})"

    def to_json(self) -> list[Any]:
        """As plain JSON values."""
        return [
            self.number,
            self.name,
            self.endpoint_id.hex(),
            to_base64(self.device_seed),
            to_base64(self.placement),
        ]

    @classmethod
    def from_json(cls, value: Any) -> Enrolled:
        """What `to_json` gave; ValueError or WireError for anything else."""
        match value:
            case [int(number), str(name), str(identifier), str(seed), str(placement)]:
                endpoint_id = bytes.fromhex(identifier)
                if len(endpoint_id) != ID_BYTES:
                    raise ValueError("an id of another length")
                return cls(number, name, endpoint_id, from_base64(seed, size=KEY_BYTES), from_base64(placement))
        raise ValueError("no endpoint")

    def identity(self, authority: Authority) -> Identity:
        """The identity; all of a process share one `authority`, for they believe the same."""
        placement = Placement.decode(parse(self.placement, Kind.PLACEMENT).body)
        return Identity(MemoryFolder(), SigningKey(self.device_seed), self.endpoint_id, authority, placement)


class Register:
    """The file of a state folder (mode 0700) that holds all endpoints of one core."""

    def __init__(self, folder: Path) -> None:
        """ConfigError when the folder cannot be used or its file is damaged."""
        self._path = StateFolder(folder).path / "endpoints.jsonl"
        self.tag = secrets.token_hex(3)
        """In the names of its endpoints, so that they meet no others."""
        self.root_key = b""
        self.key_list = b""
        self.endpoints: dict[int, Enrolled] = {}
        if self._path.exists():
            self._read()

    def add(self, root_key: bytes, key_list: bytes, endpoints: Iterable[Enrolled]) -> None:
        """Take endpoints in, and write them down. ConfigError when that fails, or when they pin another root."""
        if self.root_key not in (b"", root_key):
            raise ConfigError(f"{self._path} holds endpoints of another core: use another --state folder")
        # The first list of all will do: an endpoint is given newer ones with its welcome.
        self.root_key, self.key_list = root_key, self.key_list or key_list
        new = [each for each in endpoints if each.number not in self.endpoints]
        lines: list[list[Any]] = (
            [] if self._path.exists() else [[_FORM, self.tag, to_base64(self.root_key), to_base64(self.key_list)]]
        )
        lines += [each.to_json() for each in new]
        try:
            with open(self._path, "a", encoding="utf-8", opener=_private) as file:
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from error
        self.endpoints |= {each.number: each for each in new}

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)
        self.endpoints.clear()
        self.root_key = self.key_list = b""

    def _read(self) -> None:
        try:
            text = self._path.read_text(encoding="utf-8")
            if not text.endswith("\n"):
                # Its writer was killed in the middle of a line: that endpoint is enrolled anew.
                text = text[: text.rfind("\n") + 1]
                replace_file(self._path, text.encode())
            first, *rest = text.splitlines()
            match json.loads(first):
                case [str(form), str(tag), str(root), str(key_list)] if form == _FORM:
                    self.tag = tag
                case _:
                    raise ValueError("another form")
            self.root_key, self.key_list = from_base64(root, size=KEY_BYTES), from_base64(key_list)
            Authority(self.root_key, self.key_list)
            for line in rest:
                made = Enrolled.from_json(json.loads(line))
                self.endpoints[made.number] = made
        except (OSError, ValueError, WireError, AuthorityError) as error:
            raise ConfigError(f"{self._path} is damaged: {error}; remove it, and revoke its endpoints") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
