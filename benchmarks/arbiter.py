"""One change among 10,000 endpoints and 20 broadcasts: `loa.arbiter`, beside looking at every endpoint anew."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

from benchmarks import Figure
from loa.arbiter import Arbiter, Precedence, precedence_of

ENDPOINTS = 10_000
BROADCASTS = 20
TURNS = 40
WANTED_MS = 10.0


class City:
    """Every broadcast meant for a random half of all endpoints, but for those of `without`."""

    def __init__(self, seed: int, without: int = 0) -> None:
        chance = random.Random(seed)
        self.all = [number.to_bytes(8, "big") for number in range(ENDPOINTS)]
        some = self.all[: ENDPOINTS - without]
        self.arbiter = Arbiter[bytes, int]()
        self.meant: dict[int, set[bytes]] = {}
        for number in range(1, BROADCASTS):
            self.meant[number] = set(chance.sample(some, ENDPOINTS // 2))
            self.arbiter.begin(number, self.rank(10 * number), self.meant[number])

    @staticmethod
    def rank(priority: int) -> Precedence:
        """By its priority alone."""
        return precedence_of(priority, 0, b"")

    def begin(self, priority: int, endpoints: Iterable[bytes] | None = None) -> None:
        """The twentieth broadcast, for all when nobody is named."""
        self.arbiter.begin(0, self.rank(priority), self.all if endpoints is None else endpoints)


def measure() -> list[Figure]:
    """Each kind of change, every turn on a city of its own."""
    kinds: dict[str, Callable[[int], float]] = {
        "an emergency begins for all": lambda seed: _begins(City(seed), 255),
        "it ends": lambda seed: _ends(City(seed), 255),
        "the lowest begins for all": lambda seed: _begins(City(seed), 1),
        "it becomes the highest": _rises,
        "the highest ends where nobody is meant by others": lambda seed: _ends_alone(City(seed, ENDPOINTS // 2)),
        "one endpoint moves": lambda seed: _moves(City(seed)),
    }
    times = {kind: [change(seed) for seed in range(TURNS)] for kind, change in kinds.items()}
    note = f"median of {TURNS}; {ENDPOINTS:,} endpoints, {BROADCASTS} broadcasts, each for a random half"
    medians = {kind: statistics.median(each) for kind, each in times.items()}
    peer = statistics.median(_looks(City(seed)) for seed in range(5))
    return [
        *(Figure(kind, value, "ms", note) for kind, value in medians.items()),
        Figure("one change, the worst of all", max(map(max, times.values())), "ms", "", at_most=WANTED_MS),
        Figure("peer: look at each endpoint and broadcast anew", peer, "ms", "median of 5"),
    ]


def _begins(city: City, priority: int) -> float:
    return _ms(lambda: city.begin(priority))


def _ends(city: City, priority: int) -> float:
    city.begin(priority)
    return _ms(lambda: city.arbiter.end(0))


def _ends_alone(city: City) -> float:
    city.begin(255, city.all[ENDPOINTS // 2 :])
    return _ms(lambda: city.arbiter.end(0))


def _rises(seed: int) -> float:
    city = City(seed)
    city.begin(1)
    return _ms(lambda: city.arbiter.rank(0, city.rank(255)))


def _moves(city: City) -> float:
    return _ms(lambda: city.arbiter.place(city.all[0], range(1, BROADCASTS, 2)))


def _looks(city: City) -> float:
    return _ms(lambda: _look(city))


def _look(city: City) -> Mapping[bytes, int]:
    plays: dict[bytes, int] = {}
    for endpoint in city.all:
        meant = [number for number, endpoints in city.meant.items() if endpoint in endpoints]
        if meant:
            plays[endpoint] = max(meant)
    return plays


def _ms(change: Callable[[], object]) -> float:
    began_ns = time.perf_counter_ns()
    change()
    return (time.perf_counter_ns() - began_ns) / 1e6
