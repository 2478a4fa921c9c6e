"""What the tests of rules and dashboard share: Prometheus's own parser, and the names in an expression."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')
_MATCHERS = re.compile(r"\{[^}]*\}")
_LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_RANGES = re.compile(r"\[[^]]*\]")
_NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*(?!\s*\(|[A-Za-z0-9_:])")
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without"}


def promtool(*arguments: str | Path) -> str:
    """What promtool says, and its exit code where it is not 0."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


def metrics(expression: str) -> set[str]:
    """The names of metrics in an expression."""
    for noise in (_STRINGS, _MATCHERS, _LISTS, _RANGES):
        expression = noise.sub(" ", expression)
    return set(_NAME.findall(expression)) - _WORDS


def complaints(expressions: Iterable[str], folder: Path) -> str:
    """What Prometheus's parser says against them; "" when nothing."""
    rules = [{"record": f"test:{number}", "expr": text} for number, text in enumerate(expressions)]
    path = folder / "expressions.yml"
    path.write_text(json.dumps({"groups": [{"name": "test", "rules": rules}]}))  # JSON is YAML too
    said = promtool("check", "rules", path)
    return "" if f"SUCCESS: {len(rules)} rules found" in said else said
