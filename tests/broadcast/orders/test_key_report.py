"""What `loa keys show` is told: true for every state that a folder of keys can be in, and nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from loa.broadcast.orders.key_exchange import install_grant, make_request, open_request, sign_request
from loa.broadcast.orders.key_files import read_root
from loa.broadcast.orders.key_report import Advice, key_report
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.next_key_list import LIFE_S, ROTATION_OVERLAP_S
from loa.broadcast.orders.root_custody import create_root, take_away
from loa.broadcast.orders.root_replacement import replace_root
from loa.codecs import human_text
from loa.codecs.authority import ALL_RIGHTS
from loa.errors import ConfigError

NOW_S = 1_790_000_000


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A core's keys, whose root has been taken away to `stick`."""
    folder = tmp_path / "data" / "keys"
    KeyRing.open(folder, NOW_S)
    (tmp_path / "stick").mkdir()
    take_away(folder, [tmp_path / "stick"])
    return folder


def advice(folder: Path, at_s: int = NOW_S) -> list[Advice]:
    before = sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir())
    found = list(key_report(folder, at_s).advice)
    assert sorted((file.name, file.stat().st_mtime_ns) for file in folder.iterdir()) == before
    return found


def test_what_is_in_force(keys: Path, tmp_path: Path) -> None:
    ring = KeyRing.open(keys, NOW_S, root=read_root(tmp_path / "stick"))
    old = ring.order_key.key_id
    ring.rotate(NOW_S)
    ring.revoke(b"relaykey", NOW_S)
    report = key_report(keys, NOW_S)
    assert report.root_fingerprint == human_text.fingerprint(ring.root_public_key)
    assert not report.root_is_here
    assert report.key_list == ring.key_list
    assert [(key.id, key.rights, key.not_after_s, key.in_use) for key in report.keys] == [
        (ring.order_key.key_id, ALL_RIGHTS, NOW_S + LIFE_S, True),
        (old, ALL_RIGHTS, NOW_S + ROTATION_OVERLAP_S, False),
    ]
    assert (report.wrong, report.waiting, report.replaced_ms) == ("", None, None)
    assert report.advice == (Advice.NOTHING,)


def test_before_there_are_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    assert advice(tmp_path / "keys") == [Advice.NO_KEYS]
    make_request(tmp_path / "keys", NOW_S)
    assert advice(tmp_path / "keys") == [Advice.SIGN_REQUEST]
    root = create_root(tmp_path / "offline")
    request = open_request(make_request(tmp_path / "keys", NOW_S))
    grant, _ = sign_request(tmp_path / "offline", request, NOW_S)
    install_grant(tmp_path / "keys", grant.encode(), NOW_S, root_fingerprint=human_text.fingerprint(root))
    assert advice(tmp_path / "keys") == [Advice.NOTHING]


def test_a_root_that_lies_on_the_core_is_to_be_taken_away(tmp_path: Path) -> None:
    KeyRing.open(tmp_path, NOW_S)
    assert advice(tmp_path) == [Advice.TAKE_ROOT_AWAY]


def test_as_the_list_grows_old(keys: Path) -> None:
    assert advice(keys, NOW_S + LIFE_S // 2) == [Advice.NOTHING]
    assert advice(keys, NOW_S + LIFE_S // 2 + 1) == [Advice.RENEW_SOON]
    assert advice(keys, NOW_S + LIFE_S - 86_400) == [Advice.RENEW_URGENT]
    assert advice(keys, NOW_S + LIFE_S + 1) == [Advice.NEEDS_ROOT_NOW]
    assert key_report(keys, NOW_S + LIFE_S + 1).wrong == "the key list has expired"
    make_request(keys, NOW_S, renew=True)
    make_request(keys, NOW_S)
    assert advice(keys) == [Advice.REQUEST_OPEN]


def test_a_rotation_that_a_crash_cut_off_counts_as_done(keys: Path, tmp_path: Path) -> None:
    old = (keys / "order.key").read_bytes()
    ring = KeyRing.open(keys, NOW_S, root=read_root(tmp_path / "stick"))
    ring.rotate(NOW_S)
    (keys / "order.key").rename(keys / "order.key.next")
    (keys / "order.key").write_bytes(old)
    (keys / "order.key").chmod(0o600)
    report = key_report(keys, NOW_S)
    assert [key.id for key in report.keys if key.in_use] == [ring.order_key.key_id]
    assert report.waiting is None


def test_a_replaced_root_is_told(keys: Path) -> None:
    replace_root(keys, NOW_S * 1000)
    report = key_report(keys, NOW_S)
    assert (report.replaced_ms, report.root_is_here) == (NOW_S * 1000, True)
    (keys / "replaced").write_bytes(b"yesterday")
    with pytest.raises(ConfigError, match="replaced"):
        key_report(keys, NOW_S)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("key_list", b"x" * 100, "no key list"),
        ("key_list", None, "missing"),
        ("root.pub", None, "missing"),
        ("root.pub", b"x" * 31, "31 bytes"),
        ("root.key", b"x" * 32, "not the key of"),
    ],
)
def test_what_is_damaged_is_said(keys: Path, name: str, data: bytes | None, says: str) -> None:
    if data is None:
        (keys / name).unlink()
    else:
        (keys / name).write_bytes(data)
        (keys / name).chmod(0o600)
    with pytest.raises(ConfigError, match=says):
        key_report(keys, NOW_S)
