"""A real core for commands that ask one."""

from __future__ import annotations

from tests.control_api.conftest import api, clock, core

__all__ = ["api", "clock", "core"]
