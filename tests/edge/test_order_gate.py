"""Which orders an endpoint obeys, and what it answers to the others."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loa.codecs import order_wire
from loa.codecs.authority import ALL_RIGHTS, Authority, Right
from loa.codecs.order_wire import Stop
from loa.edge.speaker.order_gate import Accepted, OrderGate, Refusal, Repeated, Verdict
from loa.edge.speaker.order_window import MAX_IDS, MAX_SIGNERS, OrderWindow
from loa.errors import ConfigError, Refused, StoreError
from tests.edge.origin import (
    BROADCAST,
    CITY,
    COMMUNE,
    DISTRICT,
    ELSEWHERE,
    ENDPOINT,
    UTC_MS,
    UTC_S,
    Authorities,
    key,
    raw_order,
    tune,
)

PLACE = (CITY, DISTRICT, COMMUNE)


class Gate:
    """A gate with its disk."""

    def __init__(self, key_list: bytes | None = None) -> None:
        self.by = Authorities()
        self.saved: bytes | None = None
        self.full = False
        self.authority = Authority(self.by.root.public_key, key_list or self.by.key_list())
        self.restart()

    def restart(self) -> None:
        self.gate = OrderGate(self.authority, ENDPOINT, self._save, self.saved)

    def _save(self, data: bytes) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.saved = data

    def judge(self, data: bytes, utc_ms: int | None = UTC_MS, now_ns: int = 0, playable: bool = True) -> Verdict:
        return self.gate.judge(data, now_ns=now_ns, utc_ms=utc_ms, place=PLACE, playable=lambda _: playable)

    def reason(self, data: bytes, utc_ms: int | None = UTC_MS, playable: bool = True) -> str:
        verdict = self.judge(data, utc_ms, playable=playable)
        assert isinstance(verdict, Refusal), verdict
        return verdict.reason


def test_an_order_for_an_area_of_the_place_is_accepted_once_and_answered_again() -> None:
    g = Gate()
    order = g.by.order(tune())
    first = g.judge(order)
    assert isinstance(first, Accepted)
    assert first.order_id == order_wire.order_id(g.by.order_key.key_id, 1)
    assert g.judge(order) == Repeated(first.order_id, resume=tune())
    g.restart()
    assert g.judge(order, utc_ms=None) == Repeated(first.order_id)


def test_an_order_that_names_the_endpoint_is_accepted() -> None:
    g = Gate()
    assert isinstance(g.judge(g.by.order(tune(), areas=(), endpoints=(ENDPOINT,))), Accepted)


def test_bytes_that_are_no_bundle_are_malformed_and_name_nobody() -> None:
    verdict = Gate().judge(b"\x00" * 100)
    assert isinstance(verdict, Refusal)
    assert (verdict.order_id, verdict.reason) == (None, "malformed")


def test_a_body_that_is_no_order_is_malformed_and_its_name_is_told() -> None:
    g = Gate()
    verdict = g.judge(raw_order({1: 7, 6: 1}, g.by.order_key))
    assert isinstance(verdict, Refusal)
    assert verdict.reason == "malformed"
    assert verdict.order_id == order_wire.order_id(g.by.order_key.key_id, 7)


def test_an_unknown_action_is_unsupported() -> None:
    g = Gate()
    body = raw_order({1: 7, 2: UTC_MS, 3: UTC_MS, 4: [COMMUNE], 5: [], 6: 77, 7: {}}, g.by.order_key)
    assert g.reason(body) == "unsupported"


def test_what_cannot_be_played_is_unsupported() -> None:
    g = Gate()
    assert g.reason(g.by.order(tune()), playable=False) == "unsupported"


def test_other_bytes_under_the_same_name_are_replayed() -> None:
    g = Gate()
    g.judge(g.by.order(tune(), seq=5))
    assert g.reason(g.by.order(tune(volume=50), seq=5)) == "replayed"


def test_without_trusted_time_nothing_new_is_obeyed() -> None:
    g = Gate()
    assert g.reason(g.by.order(tune()), utc_ms=None) == "no_trusted_time"


def test_an_expired_key_list_ends_all_orders() -> None:
    g = Gate(Authorities().key_list(expires_s=UTC_S - 1))
    assert g.reason(g.by.order(tune())) == "list_expired"


def test_a_key_that_the_list_does_not_name_is_unknown() -> None:
    g = Gate()
    assert g.reason(g.by.order(tune(), signer=key("stranger"))) == "unknown_key"


def test_a_revoked_key_is_refused_as_revoked() -> None:
    by = Authorities()
    g = Gate(by.key_list(revoked=(by.order_key.key_id,)))
    assert g.reason(g.by.order(tune())) == "key_revoked"


def test_a_key_after_its_time_is_expired() -> None:
    g = Gate(Authorities().key_list(not_after_s=UTC_S - 1))
    assert g.reason(g.by.order(tune())) == "key_expired"


def test_an_emergency_needs_the_emergency_right() -> None:
    g = Gate(Authorities().key_list(rights=ALL_RIGHTS & ~Right.EMERGENCY))
    assert g.reason(g.by.order(tune(priority=224))) == "not_entitled"
    assert isinstance(g.judge(g.by.order(tune(priority=223))), Accepted)


def test_a_delegate_may_order_in_its_areas_only() -> None:
    g = Gate()
    relay = key("relay")
    near, far = g.by.certificate(relay, DISTRICT), g.by.certificate(relay, ELSEWHERE)
    assert isinstance(g.judge(g.by.order(tune(), signer=relay, chain=(near,))), Accepted)
    assert g.reason(g.by.order(tune(), signer=relay, chain=(far,))) == "not_entitled"


@pytest.mark.parametrize("at", [20, 70, 100, -1])
def test_a_flipped_bit_is_never_obeyed(at: int) -> None:
    g = Gate()
    data = bytearray(g.by.order(tune()))
    data[at] ^= 1
    assert g.reason(bytes(data)) in {"bad_signature", "malformed", "unknown_key"}


def test_a_flipped_bit_of_the_signature_is_a_bad_signature() -> None:
    g = Gate()
    data = bytearray(g.by.order(tune()))
    data[1 + 10 + 5] ^= 1
    assert g.reason(bytes(data)) == "bad_signature"


def test_an_order_after_its_time_is_expired() -> None:
    g = Gate()
    assert g.reason(g.by.order(tune(), expires_ms=UTC_MS - 1)) == "expired"


def test_an_order_from_the_future_is_not_yet_valid() -> None:
    g = Gate()
    assert g.reason(g.by.order(tune(), issued_ms=UTC_MS + 60_001)) == "not_yet_valid"
    assert isinstance(g.judge(g.by.order(tune(), issued_ms=UTC_MS + 60_000)), Accepted)


def test_a_number_below_the_floor_is_replayed() -> None:
    g = Gate()
    g.judge(g.by.order(tune(), seq=10, expires_ms=UTC_MS + 10))
    assert g.reason(g.by.order(tune(), seq=9), UTC_MS + 11) == "replayed"
    assert isinstance(g.judge(g.by.order(tune(), seq=11), UTC_MS + 11), Accepted)
    g.restart()
    assert g.reason(g.by.order(tune(), seq=10), UTC_MS + 11) == "replayed"


def test_an_order_for_another_area_is_not_targeted() -> None:
    g = Gate()
    assert g.reason(g.by.order(tune(), areas=(ELSEWHERE,))) == "not_targeted"


def test_what_cannot_be_written_down_is_not_accepted() -> None:
    g = Gate()
    order = g.by.order(tune())
    g.full = True
    with pytest.raises(StoreError):
        g.judge(order)
    g.full = False
    assert isinstance(g.judge(order), Accepted)


def test_at_most_ten_refusals_a_second_are_answered() -> None:
    g = Gate()
    forged = [g.by.order(tune(), signer=key("stranger")) for _ in range(30)]
    named = [g.judge(data, now_ns=0) for data in forged]
    assert sum(isinstance(v, Refusal) and v.order_id is not None for v in named) == 10
    assert g.gate.refused == 30
    assert g.gate.unanswered == 20
    later = g.judge(forged[0], now_ns=1_000_000_000)
    assert isinstance(later, Refusal)
    assert later.order_id is not None


def test_a_forgery_does_not_use_up_the_name_of_the_true_order() -> None:
    g = Gate()
    true = g.by.order(tune(), seq=3)
    forged = bytearray(true)
    forged[-1] ^= 1
    assert isinstance(g.judge(bytes(forged)), Refusal)
    assert isinstance(g.judge(true), Accepted)


def test_a_tune_older_than_the_stop_of_its_broadcast_is_superseded() -> None:
    g = Gate()
    older = g.by.order(tune(), seq=1, issued_ms=UTC_MS - 100)
    younger = g.by.order(tune(generation=2), seq=3, issued_ms=UTC_MS + 1)
    g.judge(g.by.order(Stop(BROADCAST, 0), seq=2))
    g.restart()
    first, second = g.judge(older), g.judge(younger)
    assert isinstance(first, Accepted)
    assert first.superseded
    assert isinstance(second, Accepted)
    assert not second.superseded


def test_a_stop_without_the_emergency_right_does_not_supersede_an_emergency() -> None:
    g = Gate()
    g.judge(g.by.order(Stop(BROADCAST, 0, 100), seq=1))
    emergency = g.judge(g.by.order(tune(priority=240), seq=2))
    assert isinstance(emergency, Accepted)
    assert not emergency.superseded
    plain = key("plain")
    chain = (g.by.certificate(plain, COMMUNE, rights=Right.ORDER),)
    stop = g.by.order(Stop(BROADCAST, 0, 240), seq=3, signer=plain, chain=chain)
    assert g.reason(stop) == "not_entitled"


def test_a_damaged_window_is_an_error_and_not_an_empty_window() -> None:
    with pytest.raises(ConfigError):
        OrderWindow.decode(b"\x80")


def test_more_ids_than_the_window_holds_raise_the_floor() -> None:
    window = OrderWindow()
    for seq in range(1, MAX_IDS + 3):
        window.add(b"signer 1", seq, b"d" * 32, UTC_MS + 1, UTC_MS)
    assert window.digest(b"signer 1", 2) is None
    assert window.digest(b"signer 1", 3) is not None
    with pytest.raises(Refused):
        window.check(b"signer 1", 2, UTC_MS)


def test_signers_are_bounded_and_one_whose_orders_are_over_makes_room() -> None:
    window = OrderWindow()
    for n in range(MAX_SIGNERS):
        window.add(n.to_bytes(8, "big"), 1, b"d" * 32, UTC_MS + n, UTC_MS)
    with pytest.raises(Refused):
        window.check(b"signer x", 1, UTC_MS)
    window.check(b"signer x", 1, UTC_MS + 1)
    window.add(b"signer x", 1, b"d" * 32, UTC_MS + 99, UTC_MS + 1)
    assert window.digest(b"signer x", 1) is not None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_and_never_raise(data: bytes) -> None:
    assert isinstance(Gate().judge(data), Refusal)


class GateMachine(RuleBasedStateMachine):
    """Orders come early, late, twice, changed, across restarts and full disks: each name is obeyed at most once."""

    @initialize()
    def begin(self) -> None:
        self.g = Gate()
        self.obeyed: dict[int, bytes] = {}
        self.utc_ms = UTC_MS

    @rule(seq=st.integers(1, 12), volume=st.integers(0, 3), life=st.integers(0, 50), full=st.booleans())
    def order(self, seq: int, volume: int, life: int, full: bool) -> None:
        # The life belongs to the name, so that the same name can also come with the same bytes.
        expires_ms = UTC_MS + (seq * 7 + life // 25) % 60
        data = self.g.by.order(tune(volume=volume), seq=seq, expires_ms=expires_ms)
        self.g.full = full
        try:
            verdict = self.g.judge(data, self.utc_ms)
        except StoreError:
            assert full
            return
        finally:
            self.g.full = False
        if isinstance(verdict, Accepted):
            assert not full
            assert seq not in self.obeyed
            assert self.utc_ms <= expires_ms
            self.obeyed[seq] = data
        elif isinstance(verdict, Repeated):
            assert self.obeyed[seq] == data
        else:
            expected = {"replayed"} if seq in self.obeyed else {"replayed", "expired"}
            assert verdict.reason in expected | ({"expired"} if self.utc_ms > expires_ms else set())

    @rule(ms=st.integers(0, 20))
    def time_passes(self, ms: int) -> None:
        self.utc_ms += ms

    @rule()
    def restart(self) -> None:
        self.g.restart()

    @invariant()
    def the_window_is_what_the_disk_says(self) -> None:
        if hasattr(self, "g") and self.g.saved is not None:
            assert OrderWindow.decode(self.g.saved).encode() == self.g.saved


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_the_window_survives_on_a_real_disk() -> None:
    with TemporaryDirectory() as folder:
        me = Authorities().enrolled(Path(folder))
        gate = OrderGate(me.authority, ENDPOINT, lambda data: me.folder.write("orders", data))
        order = Authorities().order(tune())
        assert isinstance(gate.judge(order, now_ns=0, utc_ms=UTC_MS, place=PLACE), Accepted)
        again = OrderGate(me.authority, ENDPOINT, lambda _: None, me.folder.read("orders"))
        assert isinstance(again.judge(order, now_ns=0, utc_ms=UTC_MS, place=PLACE), Repeated)
