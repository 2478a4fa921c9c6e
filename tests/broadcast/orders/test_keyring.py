"""The keys in their folder: made once, kept, renewed, rotated, revoked, and refused when they cannot be right."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from loa.broadcast.orders.key_files import read_root
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.next_key_list import LIFE_S, ROTATION_OVERLAP_S, next_key_list
from loa.codecs import signed
from loa.codecs.authority import ALL_RIGHTS, Authority, KeyList, Right
from loa.codecs.signed import Kind, SigningKey
from loa.errors import ConfigError, FolderBusy, Refused
from loa.folder_lock import folder_lock
from tests.crashes import crashes

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


def _usable(folder: Path, device: Authority, at_s: int) -> KeyRing:
    """The folder opens, and a device that follows its lists obeys its order key."""
    ring = KeyRing.open(folder, at_s, create=False)
    if device.key_list.version != ring.key_list.version:
        assert device.update(ring.key_list_envelope)
    assert device.key_list == ring.key_list
    assert _obeyed(device, ring.order_key, at_s)
    return ring


def _change(what: str, folder: Path) -> None:
    ring = KeyRing.open(folder, NOW_S)
    match what:
        case "renew":
            ring.renew(NOW_S)
        case "rotate":
            ring.rotate(NOW_S)
        case "revoke":
            ring.revoke(ring.order_key.key_id, NOW_S)
        case "revoke_all":
            ring.revoke_all(NOW_S)


@pytest.mark.parametrize("what", ["renew", "rotate", "revoke", "revoke_all"])
@pytest.mark.parametrize("root_stays", [True, False])
def test_a_change_that_is_killed_at_any_step_leaves_keys_that_work(
    tmp_path: Path, what: str, root_stays: bool
) -> None:
    first = KeyRing.open(tmp_path / "first", NOW_S)
    versions = set()

    def prepare() -> Callable[[], None]:
        shutil.rmtree(tmp_path / "keys", ignore_errors=True)
        shutil.copytree(tmp_path / "first", tmp_path / "keys")
        return lambda: _change(what, tmp_path / "keys")

    for _ in crashes(prepare):
        if not root_stays:
            (tmp_path / "keys" / "root.key").unlink()
        device = Authority(first.root_public_key, first.key_list_envelope)
        ring = _usable(tmp_path / "keys", device, NOW_S + 1)
        versions.add(ring.key_list.version)
        if ring.key_list.version == 2 and what != "renew":
            assert ring.order_key.seed != first.order_key.seed
        assert not (tmp_path / "keys" / "order.key.next").exists() or ring.key_list.version == 1
    assert versions == {1, 2}


def test_a_first_opening_that_is_killed_at_any_step_is_finished(tmp_path: Path) -> None:
    def prepare() -> Callable[[], object]:
        shutil.rmtree(tmp_path / "keys", ignore_errors=True)
        return lambda: KeyRing.open(tmp_path / "keys", NOW_S)

    for _ in crashes(prepare):
        ring = KeyRing.open(tmp_path / "keys", NOW_S)
        assert _obeyed(Authority(ring.root_public_key, ring.key_list_envelope), ring.order_key, NOW_S)


def test_a_running_core_takes_up_what_a_ceremony_changes(tmp_path: Path) -> None:
    running = KeyRing.open(tmp_path, NOW_S)
    device = Authority(running.root_public_key, running.key_list_envelope)
    old = running.order_key
    assert not running.refresh(NOW_S)
    KeyRing.open(tmp_path, NOW_S).rotate(NOW_S + 1)
    assert running.refresh(NOW_S + 1)
    assert not running.refresh(NOW_S + 1)
    assert (running.key_list.version, running.order_key.seed) == (2, (tmp_path / "order.key").read_bytes())
    assert device.update(running.key_list_envelope)
    assert _obeyed(device, running.order_key, NOW_S + 1)
    assert _obeyed(device, old, NOW_S + 1), "the overlap"
    KeyRing.open(tmp_path, NOW_S).revoke(old.key_id, NOW_S + 2)
    assert running.refresh(NOW_S + 2)
    assert device.update(running.key_list_envelope)
    assert not _obeyed(device, old, NOW_S + 2)
    assert _obeyed(device, running.order_key, NOW_S + 2)


def test_two_ceremonies_at_once_build_upon_each_other(tmp_path: Path) -> None:
    one, other = KeyRing.open(tmp_path, NOW_S), KeyRing.open(tmp_path, NOW_S)
    one.rotate(NOW_S + 1)
    other.revoke(b"relaykey", NOW_S + 2)
    assert other.key_list.version == 3
    assert other.order_key.seed == one.order_key.seed
    with folder_lock(tmp_path), pytest.raises(FolderBusy):
        one.refresh(NOW_S + 2)
    assert one.refresh(NOW_S + 2)
    assert one.key_list == other.key_list


def _rewrite(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, ns=(1, 1))  # the clock of a file system may be too coarse to tell


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda keys, older: shutil.copy(older / "key_list", keys), "goes back"),
        (lambda keys, _: _rewrite(keys / "key_list", b"x" * 200), "no key list"),
        (lambda keys, _: (keys / "key_list").unlink(), "missing"),
        (lambda keys, _: _rewrite(keys / "order.key", bytes(32), 0o644), "0600"),
        (lambda keys, _: _rewrite(keys / "order.key", bytes(32)), "not on the key list"),
        (lambda keys, older: shutil.copy(older / "another.pub", keys / "root.pub"), "no key list of this root"),
        (lambda keys, _: shutil.rmtree(keys), "cannot be used"),
    ],
)
def test_a_running_core_keeps_its_keys_when_the_folder_is_spoilt_and_says_so_once(
    tmp_path: Path, spoil: Callable[[Path, Path], object], says: str
) -> None:
    keys, older = tmp_path / "keys", tmp_path / "older"
    running = KeyRing.open(keys, NOW_S)
    (keys / "root.key").rename(tmp_path / "root.key")
    shutil.copytree(keys, older)
    (older / "another.pub").write_bytes(SigningKey.generate().public_key)
    KeyRing.open(keys, NOW_S, root=read_root(tmp_path)).rotate(NOW_S)
    assert running.refresh(NOW_S)
    held = (running.key_list, running.order_key.seed)
    spoil(keys, older)
    with pytest.raises(ConfigError, match=says):
        running.refresh(NOW_S)
    assert not running.refresh(NOW_S)
    assert (running.key_list, running.order_key.seed) == held


def test_the_root_may_come_for_a_visit_and_leaves_no_trace(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys", NOW_S)
    (tmp_path / "stick").mkdir()
    (tmp_path / "keys" / "root.key").rename(tmp_path / "stick" / "root.key")
    with pytest.raises(ConfigError, match=r"root\.key"):
        ring.renew(NOW_S)
    visited = KeyRing.open(tmp_path / "keys", NOW_S, root=read_root(tmp_path / "stick"))
    visited.renew(NOW_S + 1)
    visited.rotate(NOW_S + 2)
    assert visited.key_list.version == 3
    assert not (tmp_path / "keys" / "root.key").exists()
    expired_s = NOW_S + 2 + LIFE_S + 1
    with pytest.raises(ConfigError, match="expired"):
        KeyRing.open(tmp_path / "keys", expired_s)
    assert KeyRing.open(tmp_path / "keys", expired_s, root=read_root(tmp_path / "stick")).key_list.version == 4
    with pytest.raises(ConfigError, match="not the key"):
        KeyRing.open(tmp_path / "keys", expired_s, root=SigningKey.generate())


def test_revoking_all_leaves_one_new_key(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    olds = [ring.order_key]
    for n in range(3):
        ring.rotate(NOW_S + n)
        olds.append(ring.order_key)
    assert set(ring.revoke_all(NOW_S + 5)) == {key.key_id for key in olds}
    device = Authority(ring.root_public_key, ring.key_list_envelope)
    assert [entry.public_key for entry in ring.key_list.keys] == [ring.order_key.public_key]
    assert not any(_obeyed(device, key, NOW_S + 5) for key in olds)
    assert _obeyed(device, ring.order_key, NOW_S + 5)


def test_a_ceremony_does_not_make_keys_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        KeyRing.open(tmp_path / "nowhere", NOW_S, create=False)
    with pytest.raises(ConfigError, match="no keys"):
        KeyRing.open(tmp_path, NOW_S, create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_key_list_has_room_for_so_many_revocations(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path, NOW_S)
    held = KeyList(1, NOW_S, NOW_S, (), tuple(n.to_bytes(8, "big") for n in range(256)))
    with pytest.raises(ConfigError, match="256"):
        next_key_list(held, ring.order_key.public_key, NOW_S, revoke=[b"onemore!"])
    assert len(next_key_list(held, ring.order_key.public_key, NOW_S, revoke=[bytes(8)]).revoked) == 256
    with pytest.raises(ConfigError, match="cannot be used again"):
        next_key_list(ring.key_list, ring.order_key.public_key, NOW_S, revoke=[ring.order_key.key_id])
