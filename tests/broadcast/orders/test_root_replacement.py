"""Another root takes the place of a lost one; the old keys stay beside it, and no crash leaves neither."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loa.broadcast.orders import key_files
from loa.broadcast.orders.key_exchange import open_request, sign_request
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.root_custody import create_root
from loa.broadcast.orders.root_replacement import replace_root, request_of_new_root
from loa.codecs import human_text
from loa.codecs.authority import Authority
from loa.errors import AuthorityError, ConfigError
from tests.crashes import crashes

NOW_S = 1_790_000_000
NOW_MS = NOW_S * 1000


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder of a core's keys, whose root is lost."""
    folder = tmp_path / "loa-data" / "keys"
    KeyRing.open(folder, NOW_S)
    (folder / "root.key").unlink()
    return folder


def test_a_root_made_here_takes_the_place_and_the_old_keys_stay(keys: Path) -> None:
    old = KeyRing.open(keys, NOW_S)
    kept = replace_root(keys, NOW_MS)
    assert kept == keys.with_name("keys.replaced-20260921T141320Z")
    assert KeyRing.open(kept, NOW_S).order_key.seed == old.order_key.seed
    new = KeyRing.open(keys, NOW_S, create=False)
    assert new.root_public_key != old.root_public_key
    assert (keys / "root.key").exists()
    assert keys.stat().st_mode & 0o777 == 0o700
    assert key_files.replaced_ms(keys) == NOW_MS
    assert key_files.replaced_ms(kept) is None
    device = Authority(old.root_public_key, old.key_list_envelope)
    with pytest.raises(AuthorityError):
        device.update(new.key_list_envelope)
    with pytest.raises(ConfigError, match="was replaced"):
        old.refresh(NOW_S)


def test_a_root_made_elsewhere_takes_the_place(keys: Path, tmp_path: Path) -> None:
    root = create_root(tmp_path / "offline")
    shown = human_text.fingerprint(root)
    grant, _ = sign_request(tmp_path / "offline", open_request(request_of_new_root(keys, NOW_S)), NOW_S)
    before = KeyRing.open(keys, NOW_S).root_public_key
    with pytest.raises(ConfigError, match="fingerprint"):
        replace_root(keys, NOW_MS, grant=grant.encode())
    assert KeyRing.open(keys, NOW_S).root_public_key == before
    replace_root(keys, NOW_MS, grant=grant.encode(), root_fingerprint=shown)
    assert KeyRing.open(keys, NOW_S, create=False).root_public_key == root
    assert not (keys / "root.key").exists()


def test_replacing_twice_keeps_both(keys: Path) -> None:
    replace_root(keys, NOW_MS)
    with pytest.raises(ConfigError, match="again in a second"):
        replace_root(keys, NOW_MS)
    KeyRing.open(keys, NOW_S, create=False)
    replace_root(keys, NOW_MS + 1000)
    assert len(list(keys.parent.glob("keys.replaced-*"))) == 2


def test_where_there_are_no_keys_nothing_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        replace_root(tmp_path / "keys", NOW_MS)
    (tmp_path / "keys").mkdir()
    with pytest.raises(ConfigError, match="no keys"):
        replace_root(tmp_path / "keys", NOW_MS)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_replacement_that_is_killed_at_any_step_leaves_one_root_or_the_other(
    keys: Path, tmp_path: Path, elsewhere: bool
) -> None:
    old = KeyRing.open(keys, NOW_S)
    grant = shown = None
    if elsewhere:
        shown = human_text.fingerprint(create_root(tmp_path / "offline"))
        request = open_request(request_of_new_root(keys, NOW_S))
        grant = sign_request(tmp_path / "offline", request, NOW_S)[0].encode()
    before = tmp_path / "before"
    shutil.copytree(keys.parent, before)
    roots: set[bool] = set()

    def replaced() -> Path:
        return replace_root(keys, NOW_MS, grant=grant, root_fingerprint=shown)

    def prepare() -> Callable[[], object]:
        shutil.rmtree(keys.parent)
        shutil.copytree(before, keys.parent)
        return replaced

    for step in crashes(prepare):
        kept = list(keys.parent.glob("keys.replaced-*"))
        ring = KeyRing.open(keys, NOW_S)  # as `loa serve` does, which makes keys where there are none
        roots.add(ring.root_public_key == old.root_public_key)
        assert (ring.root_public_key == old.root_public_key) is not bool(kept), step
        if not kept:
            replaced()
            assert KeyRing.open(keys, NOW_S, create=False).root_public_key != old.root_public_key
    assert roots == {True, False}
