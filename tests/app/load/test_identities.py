"""The register of a state folder: what was enrolled is there again, and nobody else may read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa.app.load.identities import Enrolled, Register
from loa.codecs.authority import ALL_RIGHTS, Authority, KeyEntry, KeyList
from loa.codecs.signed import SigningKey
from loa.codecs.statement_wire import Placement
from loa.errors import ConfigError

ROOT, ORDER = SigningKey(b"r" * 32), SigningKey(b"o" * 32)
KEY_LIST = KeyList(1, 1_000, 2_000, (KeyEntry(ORDER.public_key, ALL_RIGHTS, 2_000),)).seal(ROOT)


def _endpoint(number: int) -> Enrolled:
    endpoint_id = number.to_bytes(16, "big")
    placement = Placement(endpoint_id, 1, (b"a" * 16,)).seal(ORDER)
    return Enrolled(number, f"Loa {number}", endpoint_id, bytes([number]) * 32, placement)


def _filled(folder: Path) -> Register:
    register = Register(folder)
    register.add(ROOT.public_key, KEY_LIST, [_endpoint(1), _endpoint(2)])
    register.add(ROOT.public_key, KEY_LIST, [_endpoint(2), _endpoint(3)])
    return register


def test_what_was_enrolled_is_there_again(tmp_path: Path) -> None:
    register = _filled(tmp_path / "state")
    again = Register(tmp_path / "state")
    assert again.endpoints == {number: _endpoint(number) for number in (1, 2, 3)}
    assert (again.root_key, again.key_list, again.tag) == (ROOT.public_key, KEY_LIST, register.tag)
    assert (tmp_path / "state" / "endpoints.jsonl").stat().st_mode & 0o077 == 0
    identity = again.endpoints[2].identity(Authority(again.root_key, again.key_list))
    assert identity.endpoint_id == (2).to_bytes(16, "big")
    assert identity.placement.areas == (b"a" * 16,)


def test_a_line_that_was_cut_off_is_enrolled_anew(tmp_path: Path) -> None:
    _filled(tmp_path / "state")
    file = tmp_path / "state" / "endpoints.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    again = Register(tmp_path / "state")
    assert sorted(again.endpoints) == [1, 2]
    again.add(ROOT.public_key, KEY_LIST, [_endpoint(3)])
    assert sorted(Register(tmp_path / "state").endpoints) == [1, 2, 3]


def test_endpoints_of_another_core_are_not_mixed_in(tmp_path: Path) -> None:
    register = _filled(tmp_path / "state")
    with pytest.raises(ConfigError, match="another core"):
        register.add(b"x" * 32, KEY_LIST, [_endpoint(4)])


def test_a_register_that_is_forgotten_is_gone(tmp_path: Path) -> None:
    _filled(tmp_path / "state").forget()
    assert Register(tmp_path / "state").endpoints == {}


@pytest.mark.parametrize("damage", [b"{}\n", b"[]\n", b'["loa-load/9", "", "", ""]\n', b"\xff\n", b"null\n"])
def test_a_damaged_register_is_a_clear_error(tmp_path: Path, damage: bytes) -> None:
    _filled(tmp_path / "state")
    (tmp_path / "state" / "endpoints.jsonl").write_bytes(damage)
    with pytest.raises(ConfigError, match="damaged"):
        Register(tmp_path / "state")
