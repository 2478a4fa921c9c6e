"""What a load run must reach to be accepted, and whether it did. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from loa.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is accepted of each; None: it is shown and not judged. Shares are percentages.

    Default values are what a city should expect of one core node and a wired network.
    """

    not_bound: float | None = 0
    links_lost: float | None = 0
    join_p99_ms: float | None = 10_000
    missing_percent: float | None = 0.1
    concealed_percent: float | None = 0.5
    spread_p99_ms: float | None = 20
    jitter_p99_ms: float | None = 30
    order_p99_ms: float | None = 500
    receipt_p99_ms: float | None = 5_000
    ticks_late: float | None = 0
    frames_skipped: float | None = 0
    generator_late_percent: float | None = 1


NAMES: dict[str, str] = {
    "not_bound": "thiết bị chưa sẵn sàng khi kết thúc · endpoints not linked and bound at the end",
    "links_lost": "đường truyền bị mất · links lost",
    "join_p99_ms": "thời gian vào mạng, p99 · time to join, p99",
    "missing_percent": "gói âm thanh không đến · packets of sound that never came",
    "concealed_percent": "khung phải che · frames concealed",
    "spread_p99_ms": "chênh lệch đầu–cuối một khung, p99 · first to last of a frame, p99",
    "jitter_p99_ms": "biến động, p99 · jitter, p99",
    "order_p99_ms": "lệnh đến thiết bị, p99 · order at the endpoint, p99",
    "receipt_p99_ms": "biên nhận được lưu, p99 · receipt stored, p99",
    "ticks_late": "nhịp trễ quá 20 ms · ticks more than 20 ms late",
    "frames_skipped": "khung máy chủ bỏ qua · frames the core left out",
    "generator_late_percent": "máy phát tải không kịp · the generator itself was late",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One limit held against what was measured. `measured` is None where it could not be measured: then it is not
    judged. `passed` is None for what is not judged."""

    name: str
    measured: float | None
    limit: float | None

    @property
    def passed(self) -> bool | None:
        """Whether the limit holds."""
        return None if self.measured is None or self.limit is None else self.measured <= self.limit

    @property
    def unit(self) -> str:
        """Of measured and limit."""
        return "ms" if self.name.endswith("_ms") else "%" if self.name.endswith("_percent") else ""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "name": self.name,
            "measured": self.measured,
            "limit": self.limit,
            "unit": self.unit,
            "passed": self.passed,
        }


def judge(measured: Mapping[str, float | None], limits: Limits) -> list[Check]:
    """Every limit beside its measured value, in the order of `Limits`."""
    return [Check(each.name, measured.get(each.name), getattr(limits, each.name)) for each in fields(Limits)]


def accepted(checks: list[Check]) -> bool:
    """Whether nothing that was judged is over its limit."""
    return all(check.passed is not False for check in checks)


def with_limits(given: list[str], base: Limits | None = None) -> Limits:
    """The limits changed by "name=value" and "name=none". ConfigError for another name or no number."""
    values = {each.name: getattr(base or Limits(), each.name) for each in fields(Limits)}
    for text in given:
        name, found, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not found or name not in values:
            raise ConfigError(f"--limit: {text[:60]!r} is none of {', '.join(f'{known}=…' for known in values)}")
        if value.strip().lower() == "none":
            values[name] = None
            continue
        try:
            values[name] = float(value)
        except ValueError as error:
            raise ConfigError(f"--limit: {text[:60]!r} gives no number") from error
        if not 0 <= values[name] < float("inf"):
            raise ConfigError(f"--limit: {text[:60]!r} is not 0 or more")
    return Limits(**values)
