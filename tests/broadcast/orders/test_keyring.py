"""The keys in their folder: made once, kept, renewed, rotated, revoked, and refused when they cannot be right."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from loa.broadcast.orders.keyring import LIFE_S, ROTATION_OVERLAP_S, KeyRing
from loa.codecs import signed
from loa.codecs.authority import ALL_RIGHTS, Authority, Right
from loa.codecs.signed import Kind, SigningKey
from loa.errors import ConfigError, Refused

NOW_S = 1_790_000_000
DAY_S = 86_400


def _obeyed(authority: Authority, key: SigningKey, at_s: int) -> bool:
    envelope = signed.parse(signed.seal(Kind.ORDER, key, b"\x80"), Kind.ORDER)
    try:
        authority.entitled(envelope, Right.ORDER | Right.EMERGENCY, utc_s=at_s)
    except Refused:
        return False
    return True


def test_the_first_opening_makes_keys_that_a_device_obeys(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys", NOW_S)
    authority = Authority(ring.root_public_key, ring.key_list_envelope)
    assert authority.key_list == ring.key_list
    assert (ring.key_list.version, ring.key_list.expires_s) == (1, NOW_S + LIFE_S)
    assert [entry.rights for entry in ring.key_list.keys] == [ALL_RIGHTS]
    assert _obeyed(authority, ring.order_key, NOW_S + LIFE_S)


def test_secret_files_are_for_their_owner_only(tmp_path: Path) -> None:
    KeyRing.open(tmp_path / "keys", NOW_S)
    for name in ("root.key", "order.key"):
        assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
    assert sorted(file.name for file in (tmp_path / "keys").iterdir()) == [
        "key_list",
        "order.key",
        "root.key",
        "root.pub",
    ]


def test_opening_again_gives_the_same_keys(tmp_path: Path) -> None:
    first, again = KeyRing.open(tmp_path, NOW_S), KeyRing.open(tmp_path, NOW_S + DAY_S)
    assert again.order_key.seed == first.order_key.seed
    assert again.key_list_envelope == first.key_list_envelope
    assert again.root_public_key == first.root_public_key


@pytest.mark.parametrize("name", ["root.key", "order.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, name: str, mode: int) -> None:
    KeyRing.open(tmp_path, NOW_S)
    (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigError, match="0600"):
        KeyRing.open(tmp_path, NOW_S)


def test_the_list_is_issued_anew_when_half_of_its_life_is_over(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    assert KeyRing.open(tmp_path, NOW_S + LIFE_S // 2).key_list.version == 1
    later_s = NOW_S + LIFE_S // 2 + 1
    newer = KeyRing.open(tmp_path, later_s)
    assert (newer.key_list.version, newer.key_list.expires_s) == (2, later_s + LIFE_S)
    assert newer.order_key.seed == ring.order_key.seed
    authority = Authority(ring.root_public_key, ring.key_list_envelope)
    assert authority.update(newer.key_list_envelope)
    assert _obeyed(authority, newer.order_key, later_s + LIFE_S)


def test_a_running_core_can_refresh(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    assert not ring.refresh(NOW_S + DAY_S)
    assert ring.refresh(NOW_S + 60 * DAY_S)
    assert ring.key_list.version == 2
    assert KeyRing.open(tmp_path, NOW_S + 60 * DAY_S).key_list == ring.key_list


def test_without_the_root_the_stored_list_serves_until_it_expires(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    root = (tmp_path / "root.key").rename(tmp_path / "offline")
    last = KeyRing.open(tmp_path, NOW_S + LIFE_S)
    assert last.key_list_envelope == ring.key_list_envelope
    with pytest.raises(ConfigError, match=r"expired.*root\.key"):
        KeyRing.open(tmp_path, NOW_S + LIFE_S + 1)
    with pytest.raises(ConfigError, match=r"expired.*root\.key"):
        last.refresh(NOW_S + LIFE_S + 1)
    root.rename(tmp_path / "root.key")
    renewed = KeyRing.open(tmp_path, NOW_S + LIFE_S + 1)
    assert renewed.key_list.version == 2
    assert renewed.root_public_key == ring.root_public_key


def test_rotation_lists_both_keys_and_then_only_the_new_one(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    old = ring.order_key
    authority = Authority(ring.root_public_key, ring.key_list_envelope)
    ring.rotate(NOW_S + DAY_S)
    assert ring.order_key.seed != old.seed
    assert [signed.key_id(k.public_key) for k in ring.key_list.keys] == [ring.order_key.key_id, old.key_id]
    assert authority.update(ring.key_list_envelope)
    overlap_end_s = NOW_S + DAY_S + ROTATION_OVERLAP_S
    assert _obeyed(authority, ring.order_key, overlap_end_s + 1)
    assert _obeyed(authority, old, overlap_end_s)
    assert not _obeyed(authority, old, overlap_end_s + 1)
    again = KeyRing.open(tmp_path, NOW_S + 60 * DAY_S)
    assert again.order_key.seed == ring.order_key.seed
    assert [k.public_key for k in again.key_list.keys] == [ring.order_key.public_key]


def test_many_rotations_keep_the_list_within_its_bound(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    for n in range(20):
        ring.rotate(NOW_S + n)
    assert len(ring.key_list.keys) == 16
    assert ring.key_list.keys[0].public_key == ring.order_key.public_key
    assert KeyRing.open(tmp_path, NOW_S + 20).key_list.version == 21


def test_revoking_the_order_key_replaces_it_at_once(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    old = ring.order_key
    ring.revoke(old.key_id, NOW_S + 5)
    authority = Authority(ring.root_public_key, ring.key_list_envelope)
    assert not _obeyed(authority, old, NOW_S + 5)
    assert _obeyed(authority, ring.order_key, NOW_S + 5)
    assert KeyRing.open(tmp_path, NOW_S + 60 * DAY_S).key_list.revoked == (old.key_id,)


def test_revoking_another_key_leaves_the_order_key(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    kept = ring.order_key.seed
    ring.revoke(b"relaykey", NOW_S)
    ring.revoke(b"relaykey", NOW_S)
    assert (ring.order_key.seed, ring.key_list.revoked) == (kept, (b"relaykey",))
    with pytest.raises(ConfigError):
        ring.revoke(b"short", NOW_S)


def test_rotating_and_revoking_need_the_root(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    (tmp_path / "root.key").unlink()
    before = ring.key_list_envelope
    with pytest.raises(ConfigError, match=r"root\.key"):
        ring.rotate(NOW_S)
    with pytest.raises(ConfigError, match=r"root\.key"):
        ring.revoke(ring.order_key.key_id, NOW_S)
    assert ring.key_list_envelope == before == (tmp_path / "key_list").read_bytes()


def test_another_root_is_not_taken(tmp_path: Path) -> None:
    KeyRing.open(tmp_path / "a", NOW_S)
    KeyRing.open(tmp_path / "b", NOW_S)
    shutil.copy2(tmp_path / "b" / "root.key", tmp_path / "a" / "root.key")
    with pytest.raises(ConfigError, match="not the key"):
        KeyRing.open(tmp_path / "a", NOW_S)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("root.key", b"short"),
        ("order.key", b""),
        ("root.pub", b"x" * 31),
        ("key_list", b""),
        ("key_list", b"nonsense" * 20),
        ("order.key", None),
        ("root.pub", None),
        ("key_list", None),
    ],
)
def test_a_folder_that_is_damaged_is_a_clear_error(tmp_path: Path, name: str, damage: bytes | None) -> None:
    KeyRing.open(tmp_path, NOW_S)
    if name != "root.key":
        (tmp_path / "root.key").unlink()
    if damage is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(damage)
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        KeyRing.open(tmp_path, NOW_S)


def test_a_flipped_bit_in_the_list_is_noticed(tmp_path: Path) -> None:
    KeyRing.open(tmp_path, NOW_S)
    data = bytearray((tmp_path / "key_list").read_bytes())
    data[-1] ^= 1
    (tmp_path / "key_list").write_bytes(data)
    with pytest.raises(ConfigError, match="key_list"):
        KeyRing.open(tmp_path, NOW_S)


def test_a_lost_list_is_not_begun_again_at_version_one(tmp_path: Path) -> None:
    KeyRing.open(tmp_path, NOW_S)
    (tmp_path / "key_list").unlink()
    with pytest.raises(ConfigError, match="backup"):
        KeyRing.open(tmp_path, NOW_S)


@pytest.mark.parametrize("kept", [("root.key",), ("root.key", "root.pub"), ("root.key", "root.pub", "key_list")])
def test_a_first_opening_that_was_cut_off_is_finished(tmp_path: Path, kept: tuple[str, ...]) -> None:
    first = KeyRing.open(tmp_path, NOW_S)
    for file in tmp_path.iterdir():
        if file.name not in kept:
            file.unlink()
    (tmp_path / "order.key.new").write_bytes(b"half")
    again = KeyRing.open(tmp_path, NOW_S + 1)
    assert again.root_public_key == first.root_public_key
    authority = Authority(again.root_public_key, again.key_list_envelope)
    assert _obeyed(authority, again.order_key, NOW_S + 1)


def test_a_rotation_that_was_cut_off_leaves_the_old_key_in_force(tmp_path: Path) -> None:
    old = KeyRing.open(tmp_path, NOW_S).order_key.seed
    KeyRing.open(tmp_path, NOW_S).rotate(NOW_S + 1)
    (tmp_path / "order.key").write_bytes(old)
    ring = KeyRing.open(tmp_path, NOW_S + 2)
    assert ring.order_key.seed == old
    assert _obeyed(Authority(ring.root_public_key, ring.key_list_envelope), ring.order_key, NOW_S + 2)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be used"):
        KeyRing.open(tmp_path / "file" / "keys", NOW_S)
