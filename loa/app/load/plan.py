"""What a load run is: how many endpoints, where they stand, who of them is heard in full. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import asdict, dataclass
from fractions import Fraction
from urllib.parse import urlsplit

from loa.errors import ConfigError

MAX_ENDPOINTS = 20_000
MAX_PROCESSES = 64
LEAST_SAMPLE = 100
"""An acceptance that hears fewer than these in full is none, unless there are fewer."""
MAX_SECONDS = 86_400
HALF_OPEN = 192
"""Handshakes under way at once in all processes together: a core sends away who comes above 256."""
SAMPLE_A_PROCESS = 200
"""Endpoints that one process hears in full, where it can be helped."""
MAX_LINE_BYTES = 256 << 20
"""Of one JSON line between a generating process and who started it."""
_SPARE_FILES = 128
_A_BLOCK = 250 * 250


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A load run.

    endpoints: enrolled endpoints with a link and a media address each. processes: that generate them, one more if
    there is one only and not all are heard.
    sample: how many of them receive, verify and decode in full; the kernel drops the others' sound.
    loss: share of sound packets, 0 to 1, which the sample throws away as they come, so that repair is real.
    nack: share of sound packets which the others ask for again. churn: endpoints that leave, and as many that come
    back, a second. statuses, probes: whether the others tell how they are and ask for the time, as speakers do.
    skewed: whether the sample's clocks are wrong (by up to an hour and 80 ppm).
    """

    endpoints: int
    processes: int = 2
    sample: int = LEAST_SAMPLE
    loss: float = 0.0
    nack: float = 0.0
    churn: float = 0.0
    statuses: bool = True
    probes: bool = True
    skewed: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        """ConfigError for what cannot be run."""
        for name, value, least, most in (
            ("endpoints", self.endpoints, 1, MAX_ENDPOINTS),
            ("processes", self.processes, 1, MAX_PROCESSES),
            ("sample", self.sample, 0, MAX_ENDPOINTS),
            ("loss", self.loss, 0, 0.5),
            ("nack", self.nack, 0, 0.5),
            ("churn", self.churn, 0, 1000),
        ):
            if not least <= value <= most:
                raise ConfigError(f"--{name}: {value} is not in {least} to {most:,}")

    def to_json(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part: `numbers` of endpoints, all of the sample or none. `at_once`: handshakes under way."""

    numbers: tuple[int, ...]
    sampled: bool
    at_once: int


def shares(plan: LoadPlan) -> list[Share]:
    """The endpoints dealt out to the processes.

    The sample has processes of its own, so that nothing else there holds up what is heard.
    Each process may have so many handshakes under way as is its share of all endpoints: so the sample joins in step
    with the others, and stands at the front, in the middle and at the end of what the core sends to.
    """
    sample = min(plan.sample, plan.endpoints)
    chosen = [at * plan.endpoints // sample for at in range(sample)]
    heard = frozenset(chosen)
    deaf = [number for number in range(plan.endpoints) if number not in heard]
    if not deaf or not chosen:
        parts = [(part, bool(chosen)) for part in _dealt(chosen or deaf, plan.processes)]
    elif plan.processes == 1:
        parts = [(chosen, True), (deaf, False)]
    else:
        for_sample = min(plan.processes - 1, -(-sample // SAMPLE_A_PROCESS))
        parts = [(part, True) for part in _dealt(chosen, for_sample)]
        parts += [(part, False) for part in _dealt(deaf, plan.processes - for_sample)]
    return [Share(tuple(part), sampled, max(1, HALF_OPEN * len(part) // plan.endpoints)) for part, sampled in parts]


def _dealt(numbers: list[int], hands: int) -> list[list[int]]:
    return [dealt for at in range(hands) if (dealt := numbers[at::hands])]


def loopback_address(number: int) -> str:
    """The address of an endpoint on this machine: 127.64.0.1, 127.64.0.2, …"""
    block, rest = divmod(number, _A_BLOCK)
    return f"127.{64 + block}.{rest // 250}.{1 + rest % 250}"


def files_needed(share: Share, *, shared_by: int) -> int:
    """Open files that a process needs: a link each, a media socket for each of the sample, and shared ones."""
    sockets = len(share.numbers) if share.sampled else -(-len(share.numbers) // shared_by)
    return len(share.numbers) + sockets + _SPARE_FILES


def is_loopback(url: str) -> bool:
    """Whether a core's address names this machine and nothing else. ConfigError for what is no address."""
    host = urlsplit(url).hostname
    if not host:
        raise ConfigError(f"--core: {url!r} is not like http://host:8080")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_share(text: str, option: str) -> float:
    """A share from "1%", "0.5 %" or "0.01"; ConfigError for anything else, and outside 0 to 1."""
    match = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*(%?)\s*", text, re.ASCII)
    value = None if match is None else Fraction(match[1]) / (100 if match[2] else 1)
    if value is None or value > 1:
        raise ConfigError(f"{option}: {text[:40]!r} is not like 1% or 0.01")
    return float(value)
