"""What a check finds, in words for people and in values for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Grade(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and somebody should look at it."""
    ERROR = "error"
    """It does not work, or is not safe."""


LABELS = {Grade.OK: "TỐT · OK", Grade.WARNING: "LƯU Ý · WARNING", Grade.ERROR: "LỖI · ERROR"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. `about`: a setting, or what was looked at; `where`: file and line, or a variable, if known."""

    grade: Grade
    about: str
    vietnamese: str
    english: str
    where: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


def ok(about: str, vietnamese: str, english: str, **more: Any) -> Finding:
    """Something that is as it should be."""
    return Finding(Grade.OK, about, vietnamese, english, more=more)


def warning(about: str, vietnamese: str, english: str, where: str = "", **more: Any) -> Finding:
    """Something that somebody should look at."""
    return Finding(Grade.WARNING, about, vietnamese, english, where, more)


def error(about: str, vietnamese: str, english: str, where: str = "", **more: Any) -> Finding:
    """Something that does not work, or is not safe."""
    return Finding(Grade.ERROR, about, vietnamese, english, where, more)


def passed(findings: Iterable[Finding]) -> bool:
    """Whether there is no error among them."""
    return all(each.grade is not Grade.ERROR for each in findings)


def tell(findings: Iterable[Finding], *, as_json: bool) -> bool:
    """Print them, the worst last; whether there is no error among them."""
    found = sorted(findings, key=lambda each: list(Grade).index(each.grade))
    if as_json:
        values = [
            {
                "grade": str(each.grade),
                "about": each.about,
                "where": each.where,
                "vi": each.vietnamese,
                "en": each.english,
                **({"more": dict(each.more)} if each.more else {}),
            }
            for each in found
        ]
        print(json.dumps({"ok": passed(found), "findings": values}, ensure_ascii=False, indent=1))
    else:
        for each in found:
            where = f"{each.where}: " if each.where else ""
            print(f"[{LABELS[each.grade]}] {where}{each.about}: {each.vietnamese} · {each.english}")
    return passed(found)
