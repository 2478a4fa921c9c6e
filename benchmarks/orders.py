"""What an order costs an endpoint before it obeys: `loa.edge.speaker.order_gate.OrderGate`, but for the disk."""

from __future__ import annotations

import time

from benchmarks import Figure
from loa.codecs import signed
from loa.codecs.authority import ALL_RIGHTS, Authority, Certificate, KeyEntry, KeyList
from loa.codecs.order_wire import Bundle, Order, Stop, seal_order
from loa.codecs.signed import Kind, SigningKey
from loa.edge.speaker.order_gate import Accepted, OrderGate

ORDERS = 300
TURNS = 5
UTC_MS = 1_800_000_000_000
UTC_S = UTC_MS // 1000
PLACE = (b"a" * 16, b"b" * 16, b"c" * 16)


def measure() -> list[Figure]:
    """The best turn of orders by a listed key, and of orders under two certificates."""
    root, listed, relay, below = (SigningKey.generate() for _ in range(4))
    keys = KeyList(1, UTC_S, UTC_S + 86_400, (KeyEntry(listed.public_key, ALL_RIGHTS, UTC_S + 86_400),))
    authority = Authority(root.public_key, keys.seal(root))
    chain = tuple(
        Certificate(subject.public_key, ALL_RIGHTS, (PLACE[1],), UTC_S, UTC_S + 86_400, serial).seal(issuer)
        for serial, (issuer, subject) in enumerate(((listed, relay), (relay, below)))
    )
    return [
        Figure(
            "accept an order by a listed key",
            _best_us(authority, listed, ()),
            "µs",
            f"best of {TURNS}; no disk, window of up to {ORDERS} ids",
        ),
        Figure("accept an order under two certificates", _best_us(authority, below, chain), "µs"),
        Figure("refuse an order with a false signature", _refusal_us(authority, listed), "µs"),
    ]


def _bundles(key: SigningKey, chain: tuple[bytes, ...]) -> list[bytes]:
    orders = (
        Order(seq, UTC_MS, UTC_MS + 60_000, (PLACE[2],), (), Stop(seq.to_bytes(16, "big"), 0))
        for seq in range(1, ORDERS + 1)
    )
    return [Bundle(signed.parse(seal_order(order, key), Kind.ORDER), chain).encode() for order in orders]


def _best_us(authority: Authority, key: SigningKey, chain: tuple[bytes, ...]) -> float:
    bundles = _bundles(key, chain)
    return min(_turn_us(authority, bundles, accepted=True) for _ in range(TURNS))


def _refusal_us(authority: Authority, key: SigningKey) -> float:
    bundles = [bundle[:-1] + bytes([bundle[-1] ^ 1]) for bundle in _bundles(key, ())]
    return min(_turn_us(authority, bundles, accepted=False) for _ in range(TURNS))


def _turn_us(authority: Authority, bundles: list[bytes], *, accepted: bool) -> float:
    gate = OrderGate(authority, b"e" * 16, lambda _: None)
    began_ns = time.perf_counter_ns()
    verdicts = [gate.judge(bundle, now_ns=0, utc_ms=UTC_MS, place=PLACE) for bundle in bundles]
    took_ns = time.perf_counter_ns() - began_ns
    if any(isinstance(verdict, Accepted) is not accepted for verdict in verdicts):
        raise RuntimeError("the orders were not judged as they should be")
    return took_ns / 1e3 / len(bundles)
