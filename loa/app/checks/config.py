"""`loa check config`: every mistake in the settings, by file, line and key, and what is allowed instead."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from loa.app.checks.findings import Finding, error, ok, warning
from loa.app.checks.machine import check_machine
from loa.app.roles import check_role, cluster_secret
from loa.app.settings_reference import ENV_PREFIX, Setting, all_settings
from loa.config import CoreConfig
from loa.errors import ConfigError
from loa.timing.clock import SystemClock

_LINE = re.compile(r"at line (\d+)")
_LIKE = 0.75
_MAX_SHOWN = 60


def check_config(file: Path | None, data_dir: Path | None = None) -> list[Finding]:
    """All that is wrong with the settings in `file` and the environment; and, when they hold, with the machine.

    `data_dir`: as the option of `loa serve`, above both. Nothing is changed.
    """
    text, values, found = _read(file)
    found += _unknown_variables()
    environment = EnvSettingsSource(CoreConfig)()
    options = {} if data_dir is None else {"data_dir": data_dir}
    try:
        config = CoreConfig(**(values | environment | options))
    except ValidationError as mistakes:
        wrong = [_explained(dict(each), file, text, environment) for each in mistakes.errors(include_url=False)]
        return found + wrong
    if any(each.grade == "error" for each in found):
        return found
    if file is not None:
        found += _file_is_private(file, values)
    found += _role(config)
    found += check_machine(config)
    if all(each.grade == "ok" for each in found):
        found.append(ok("config", "không có gì sai", "nothing is wrong"))
    return found


def _role(config: CoreConfig) -> list[Finding]:
    """What the process's role needs."""
    try:
        check_role(config)
        cluster_secret(config, SystemClock())
    except ConfigError as fault:
        name, _, what = str(fault).partition(": ")
        vi = f"vai trò {config.role} cần cài đặt này, hoặc giá trị của nó không dùng được"
        return [error(name, vi, what)]
    return []


def _read(file: Path | None) -> tuple[str, dict[str, Any], list[Finding]]:
    """The file's text, the values in it, and what keeps it from being read."""
    if file is None:
        return "", {}, []
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text), []
    except OSError as fault:
        return "", {}, [error("config", "không đọc được", f"it cannot be read: {fault.strerror}", str(file))]
    except tomllib.TOMLDecodeError as fault:
        line = _LINE.search(str(fault))
        where = f"{file}:{line[1]}" if line else str(file)
        return "", {}, [error("config", "không đúng cú pháp TOML", f"not TOML: {fault}", where)]
    except UnicodeDecodeError:
        return "", {}, [error("config", "không phải UTF-8", "it is not UTF-8", str(file))]


def _explained(mistake: Mapping[str, Any], file: Path | None, text: str, environment: Mapping[str, Any]) -> Finding:
    name = str(mistake["loc"][0]) if mistake["loc"] else ""
    setting = all_settings().get(name)
    where = _where(name, file, text, environment)
    if setting is None and name:
        near = difflib.get_close_matches(name, all_settings(), n=1, cutoff=_LIKE)
        vi, en = "không có cài đặt tên này", "there is no such setting"
        if near:
            vi, en = f"{vi}; có phải là {near[0]}?", f"{en}; did you mean {near[0]}?"
        return error(name, vi, en, where)
    if setting is None:
        return error("config", "các cài đặt mâu thuẫn", _own_words(mistake), where)
    given = "" if setting.secret else f" {_short(mistake['input'])}"
    vi = f"giá trị{given} không dùng được; cho phép: {setting.allowed[0]}"
    en = f"the value{given} cannot be used; allowed: {setting.allowed[1]}"
    if mistake["type"] == "value_error":
        en = f"{en}: {_own_words(mistake)}"
    return error(name, vi, en, where)


def _own_words(mistake: Mapping[str, Any]) -> str:
    return str(mistake["msg"]).removeprefix("Value error, ")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "…"


def _where(name: str, file: Path | None, text: str, environment: Mapping[str, Any]) -> str:
    """Where a value comes from: the environment stands above the file."""
    if not name or name in environment:
        return ENV_PREFIX + name.upper() if name else str(file or "")
    key = re.compile(rf"""\s*(\[*\s*)?["']?{re.escape(name)}["']?\s*[=.\]]""")
    for number, line in enumerate(text.splitlines(), 1):
        if key.match(line):
            return f"{file}:{number}"
    return str(file or "")


def _unknown_variables() -> list[Finding]:
    """Variables that look like a setting and are none: nobody would read them."""
    known: dict[str, Setting] = {each.variable: each for each in all_settings().values()}
    found = []
    for variable in sorted(os.environ):
        if not variable.upper().startswith(ENV_PREFIX) or variable.upper() in known:
            continue
        if near := difflib.get_close_matches(variable.upper(), known, n=1, cutoff=_LIKE):
            vi, en = f"không ai đọc biến này; có phải là {near[0]}?", f"nobody reads it; did you mean {near[0]}?"
            found.append(warning(variable, vi, en, "môi trường · environment"))
    return found


def _file_is_private(file: Path, values: Mapping[str, Any]) -> list[Finding]:
    mode = file.stat().st_mode & 0o777
    if mode & 0o022:
        vi, en = "người khác sửa được tệp này", "others can write this file: chmod go-w"
        return [error("config", vi, en, str(file))]
    secret = [name for name, each in all_settings().items() if each.secret and values.get(name)]
    if mode & 0o044 and secret:
        names = ", ".join(secret)
        vi = f"người khác đọc được {names}: chmod 600, hoặc đặt vào biến môi trường"
        return [
            warning("config", vi, "others can read what is secret: chmod 600, or use the environment", str(file))
        ]
    return []
