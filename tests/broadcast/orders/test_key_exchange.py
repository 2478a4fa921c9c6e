"""A core gets its keys from a root that never comes near it; what is swapped, old or another's is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.orders.key_exchange import (
    CLOCKS_DIFFER_S,
    Grant,
    KeyRequest,
    install_grant,
    make_request,
    open_request,
    sign_request,
)
from loa.broadcast.orders.key_files import read_root
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.orders.next_key_list import LIFE_S, ROTATION_OVERLAP_S
from loa.broadcast.orders.root_custody import create_root
from loa.codecs import human_text, signed
from loa.codecs.authority import Authority, KeyList, Right
from loa.codecs.signed import Kind, SigningKey
from loa.errors import AuthorityError, ConfigError, Refused, WireError
from tests.crashes import crashes

NOW_S = 1_790_000_000
DAY_S = 86_400


class Machines:
    """A core and an offline machine, each a folder; and a device that follows the core's lists."""

    def __init__(self, folder: Path) -> None:
        self.core, self.offline = folder / "core" / "keys", folder / "offline"
        self.core.parent.mkdir()
        self.root = create_root(self.offline)
        self.fingerprint = human_text.fingerprint(self.root)
        self.device: Authority | None = None

    def exchange(self, now_s: int, **asked: object) -> KeyList:
        request = make_request(self.core, now_s, **asked)  # type: ignore[arg-type]
        grant, _ = sign_request(self.offline, open_request(request), now_s)
        return install_grant(self.core, grant.encode(), now_s, root_fingerprint=self.fingerprint)

    def ring(self, now_s: int) -> KeyRing:
        return KeyRing.open(self.core, now_s, create=False)

    def obeyed(self, key: SigningKey, at_s: int) -> bool:
        envelope = (self.core / "key_list").read_bytes()
        if self.device is None:
            self.device = Authority(self.root, envelope)
        self.device.update(envelope)
        order = signed.parse(signed.seal(Kind.ORDER, key, b"\x80"), Kind.ORDER)
        try:
            self.device.entitled(order, Right.ORDER | Right.EMERGENCY | Right.LINK, utc_s=at_s)
        except Refused:
            return False
        return True


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    return Machines(tmp_path)


def test_a_core_starts_from_what_the_offline_machine_made(machines: Machines) -> None:
    installed = machines.exchange(NOW_S)
    ring = machines.ring(NOW_S)
    assert (ring.key_list, ring.key_list.version) == (installed, 1)
    assert ring.root_public_key == machines.root
    assert machines.obeyed(ring.order_key, NOW_S)
    assert sorted(file.name for file in machines.core.iterdir()) == ["key_list", "order.key", "root.pub"]
    assert (machines.core / "order.key").stat().st_mode & 0o777 == 0o600
    seed = read_root(machines.offline).seed
    assert not any(seed in file.read_bytes() for file in machines.core.iterdir())


def test_a_core_that_waits_for_its_list_does_not_start_with_keys_of_its_own(machines: Machines) -> None:
    make_request(machines.core, NOW_S)
    with pytest.raises(ConfigError, match="waits for its key list"):
        KeyRing.open(machines.core, NOW_S)
    assert [file.name for file in machines.core.iterdir()] == ["order.key.next"]


def test_rotation_renewal_and_revocation_by_exchange(machines: Machines) -> None:
    machines.exchange(NOW_S)
    first = machines.ring(NOW_S).order_key
    rotated = machines.exchange(NOW_S + DAY_S)
    second = machines.ring(NOW_S + DAY_S).order_key
    assert (rotated.version, second.seed == first.seed) == (2, False)
    assert machines.obeyed(first, NOW_S + DAY_S + ROTATION_OVERLAP_S)
    assert not machines.obeyed(first, NOW_S + DAY_S + ROTATION_OVERLAP_S + 1)
    renewed = machines.exchange(NOW_S + 2 * DAY_S, renew=True)
    assert (renewed.version, renewed.expires_s) == (3, NOW_S + 2 * DAY_S + LIFE_S)
    assert machines.ring(NOW_S + 2 * DAY_S).order_key.seed == second.seed
    machines.exchange(NOW_S + 3 * DAY_S, renew=True, revoke=[first.key_id, b"relaykey"])
    assert not machines.obeyed(first, NOW_S + 3 * DAY_S)
    assert machines.obeyed(second, NOW_S + 3 * DAY_S)
    last = machines.exchange(NOW_S + 4 * DAY_S, revoke_all=True)
    assert set(last.revoked) == {first.key_id, second.key_id, b"relaykey"}
    assert not machines.obeyed(second, NOW_S + 4 * DAY_S)
    assert machines.obeyed(machines.ring(NOW_S + 4 * DAY_S).order_key, NOW_S + 4 * DAY_S)
    assert len(last.keys) == 1


def test_the_key_in_use_cannot_be_renewed_and_revoked(machines: Machines) -> None:
    with pytest.raises(ConfigError, match="no order key"):
        make_request(machines.core, NOW_S, renew=True)
    machines.exchange(NOW_S)
    with pytest.raises(ConfigError, match="cannot be used again"):
        make_request(machines.core, NOW_S, renew=True, revoke=[machines.ring(NOW_S).order_key.key_id])


def test_a_request_made_again_asks_for_the_same_key(machines: Machines) -> None:
    first = open_request(make_request(machines.core, NOW_S))
    grant, _ = sign_request(machines.offline, first, NOW_S)
    assert open_request(make_request(machines.core, NOW_S + 60)).public_key == first.public_key
    install_grant(machines.core, grant.encode(), NOW_S + 60, root_fingerprint=machines.fingerprint)
    machines.ring(NOW_S + 60)


def test_after_a_compromise_the_key_that_waited_is_not_used(machines: Machines) -> None:
    machines.exchange(NOW_S)
    known = open_request(make_request(machines.core, NOW_S)).public_key
    assert open_request(make_request(machines.core, NOW_S, revoke_all=True)).public_key != known


def test_installing_again_changes_nothing(machines: Machines) -> None:
    grant, _ = sign_request(machines.offline, open_request(make_request(machines.core, NOW_S)), NOW_S)
    for _ in range(2):
        install_grant(machines.core, grant.encode(), NOW_S, root_fingerprint=machines.fingerprint)
    assert machines.ring(NOW_S).key_list.version == 1


def test_an_older_list_is_refused(machines: Machines) -> None:
    request = open_request(make_request(machines.core, NOW_S))
    older, _ = sign_request(machines.offline, request, NOW_S)
    newer, key_list = sign_request(machines.offline, request, NOW_S)
    assert key_list.version == 2, "the offline machine never signs a version twice"
    install_grant(machines.core, newer.encode(), NOW_S, root_fingerprint=machines.fingerprint)
    with pytest.raises(ConfigError, match="too old"):
        install_grant(machines.core, older.encode(), NOW_S)


def test_another_root_is_refused_on_both_sides(machines: Machines, tmp_path: Path) -> None:
    create_root(tmp_path / "false")
    request = make_request(machines.core, NOW_S)
    false, _ = sign_request(tmp_path / "false", open_request(request), NOW_S)
    for typed in (None, "", machines.fingerprint):
        with pytest.raises(ConfigError, match="confirm it by its fingerprint"):
            install_grant(machines.core, false.encode(), NOW_S, root_fingerprint=typed)
    machines.exchange(NOW_S)
    with pytest.raises(ConfigError, match="this core's is"):
        install_grant(machines.core, false.encode(), NOW_S, root_fingerprint=human_text.fingerprint(machines.root))
    with pytest.raises(ConfigError, match="another root"):
        sign_request(tmp_path / "false", open_request(make_request(machines.core, NOW_S)), NOW_S)
    assert machines.ring(NOW_S).root_public_key == machines.root


def test_a_grant_for_another_core_is_refused(machines: Machines, tmp_path: Path) -> None:
    machines.exchange(NOW_S)
    other = make_request(tmp_path / "other", NOW_S)
    grant, _ = sign_request(machines.offline, open_request(other), NOW_S)
    with pytest.raises(ConfigError, match="another request"):
        install_grant(machines.core, grant.encode(), NOW_S)


def test_the_two_cores_of_one_root_keep_their_keys(machines: Machines, tmp_path: Path) -> None:
    machines.exchange(NOW_S)
    first = machines.ring(NOW_S).order_key
    grant, key_list = sign_request(machines.offline, open_request(make_request(tmp_path / "other", NOW_S)), NOW_S)
    install_grant(tmp_path / "other", grant.encode(), NOW_S, root_fingerprint=machines.fingerprint)
    assert key_list.version == 2
    assert signed.key_id(key_list.keys[1].public_key) == first.key_id


def test_a_list_that_forgets_a_revocation_is_refused(machines: Machines) -> None:
    machines.exchange(NOW_S)
    machines.exchange(NOW_S, revoke=[b"relaykey"])
    held = machines.ring(NOW_S).key_list
    forgetful = replace(held, version=9, revoked=())
    grant = Grant(machines.root, forgetful.seal(read_root(machines.offline)))
    with pytest.raises(ConfigError, match="forgets"):
        install_grant(machines.core, grant.encode(), NOW_S)


def test_the_offline_machine_goes_on_from_whichever_list_is_newer(machines: Machines) -> None:
    machines.exchange(NOW_S)
    # The root came for a visit meanwhile, and the offline folder knows nothing of it.
    visited = KeyRing.open(machines.core, NOW_S, root=read_root(machines.offline))
    visited.revoke(b"relaykey", NOW_S)
    visited.rotate(NOW_S)
    after = machines.exchange(NOW_S)
    assert (after.version, after.revoked) == (4, (b"relaykey",))
    # The core lost its folder: the offline machine still knows the versions and the revocations.
    shutil.rmtree(machines.core)
    again = machines.exchange(NOW_S)
    assert (again.version, again.revoked) == (5, (b"relaykey",))


@pytest.mark.parametrize("gone", [("key_list",), ("order.key",), ("order.key", "key_list", "root.pub")])
def test_files_that_are_gone_come_back_by_an_exchange(machines: Machines, gone: tuple[str, ...]) -> None:
    machines.exchange(NOW_S)
    machines.exchange(NOW_S, revoke=[b"relaykey"])
    assert machines.obeyed(machines.ring(NOW_S).order_key, NOW_S)
    for name in gone:
        (machines.core / name).unlink()
    again = machines.exchange(NOW_S)
    assert (again.version, again.revoked) == (3, (b"relaykey",))
    assert machines.obeyed(machines.ring(NOW_S).order_key, NOW_S)


def test_where_no_list_is_known_a_person_says_the_version(machines: Machines) -> None:
    request = open_request(make_request(machines.core, NOW_S))
    assert sign_request(machines.offline, request, NOW_S, at_least=40)[1].version == 40
    assert sign_request(machines.offline, request, NOW_S, at_least=7)[1].version == 41


@pytest.mark.parametrize("wrong_s", [-CLOCKS_DIFFER_S - 1, CLOCKS_DIFFER_S + 1, -NOW_S])
def test_a_clock_that_cannot_be_right_stops_the_signing(machines: Machines, wrong_s: int) -> None:
    request = open_request(make_request(machines.core, NOW_S))
    with pytest.raises(ConfigError, match="clock"):
        sign_request(machines.offline, request, NOW_S + wrong_s)
    assert not (machines.offline / "key_list").exists()


def test_a_grant_that_does_not_hold_now_is_refused(machines: Machines) -> None:
    grant, _ = sign_request(machines.offline, open_request(make_request(machines.core, NOW_S)), NOW_S)
    for at_s, says in ((NOW_S + LIFE_S + 1, "expired"), (NOW_S - CLOCKS_DIFFER_S - 1, "future")):
        with pytest.raises(ConfigError, match=says):
            install_grant(machines.core, grant.encode(), at_s, root_fingerprint=machines.fingerprint)
    assert not (machines.core / "root.pub").exists()


@pytest.mark.parametrize("name", ["order.key.next", "order.key"])
def test_a_key_that_others_can_read_is_not_used(machines: Machines, name: str) -> None:
    machines.exchange(NOW_S)
    grant, _ = sign_request(machines.offline, open_request(make_request(machines.core, NOW_S)), NOW_S)
    (machines.core / name).chmod(0o640)
    with pytest.raises(ConfigError, match="0600"):
        install_grant(machines.core, grant.encode(), NOW_S)
    (machines.offline / "root.key").chmod(0o604)
    with pytest.raises(ConfigError, match="0600"):
        sign_request(machines.offline, open_request(make_request(machines.core.parent / "x", NOW_S)), NOW_S)


@pytest.mark.parametrize("first", [True, False])
def test_an_installation_that_is_killed_at_any_step_can_be_made_again(machines: Machines, first: bool) -> None:
    if not first:
        machines.exchange(NOW_S)
    request = open_request(make_request(machines.core, NOW_S))
    grant, granted = sign_request(machines.offline, request, NOW_S)
    before = machines.core.with_name("before")
    shutil.copytree(machines.core, before)
    in_force = set()

    def install() -> KeyList:
        return install_grant(machines.core, grant.encode(), NOW_S, root_fingerprint=machines.fingerprint)

    def prepare() -> Callable[[], object]:
        shutil.rmtree(machines.core)
        shutil.copytree(before, machines.core)
        return install

    for step in crashes(prepare):
        if not first or (machines.core / "key_list").exists():
            # A core starts from what was left there.
            copy = machines.core.with_name(f"copy-{step}")
            shutil.copytree(machines.core, copy)
            in_force.add(KeyRing.open(copy, NOW_S, create=False).key_list.version)
        install()
        ring = machines.ring(NOW_S)
        assert ring.key_list == granted
        assert machines.obeyed(ring.order_key, NOW_S)
    assert in_force == ({1} if first else {1, 2})


def test_a_signing_that_is_killed_at_any_step_can_be_made_again(machines: Machines) -> None:
    request = open_request(make_request(machines.core, NOW_S))
    before = machines.offline.with_name("before")
    shutil.copytree(machines.offline, before)

    def prepare() -> Callable[[], object]:
        shutil.rmtree(machines.offline)
        shutil.copytree(before, machines.offline)
        return lambda: sign_request(machines.offline, request, NOW_S)

    for _ in crashes(prepare):
        grant, key_list = sign_request(machines.offline, request, NOW_S)
        assert key_list.version in (1, 2)
        assert Grant.open(grant.encode()) == (grant, key_list)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_request_and_no_grant(data: bytes) -> None:
    for framed in (data, b"LOAKEYRQ" + data, b"LOAKEYGR" + data):
        with pytest.raises((WireError, AuthorityError)):
            KeyRequest.open(framed)
        with pytest.raises((WireError, AuthorityError)):
            Grant.open(framed)


@given(st.data())
def test_a_flipped_bit_is_noticed_on_the_way_there_and_back(data: st.DataObject) -> None:
    key, root = SigningKey(bytes(32)), SigningKey(bytes([1] * 32))
    request = KeyRequest(key.public_key, NOW_S, (b"relaykey",), b"").seal(key)
    grant = Grant(root.public_key, KeyList(1, NOW_S, NOW_S, ()).seal(root)).encode()
    for whole, opened in ((request, KeyRequest.open), (grant, Grant.open)):
        bit = data.draw(st.integers(0, len(whole) * 8 - 1))
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        with pytest.raises((WireError, AuthorityError)):
            opened(bytes(spoilt))
