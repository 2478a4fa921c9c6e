"""Points at which a process can be killed: before and after everything that reaches the disk or the database."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

_FILES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}


class Points:
    """Counts the points from `arm` on, and kills this process at the one that is wanted."""

    def __init__(self) -> None:
        self.passed = 0
        self._kill_at = 0
        self._armed = False

    def arm(self, kill_at: int) -> None:
        """Count from now on; die at point `kill_at`, or never when it is 0."""
        self._kill_at = kill_at
        self._armed = True

    def point(self) -> None:
        """One point."""
        if not self._armed:
            return
        self.passed += 1
        if self.passed == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Hang points into the interpreter and the database library. Once in a process that is to be killed."""
        sys.addaudithook(lambda name, _given: self.point() if name in _FILES else None)
        os.fsync = self._around(os.fsync)
        for name in ("before_cursor_execute", "after_cursor_execute"):
            event.listen(Engine, name, lambda *_given: self.point())
        for name in ("do_commit", "do_release_savepoint", "do_rollback_to_savepoint"):
            setattr(DefaultDialect, name, self._around(getattr(DefaultDialect, name)))

    def _around(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def with_points(*given: Any, **named: Any) -> Any:
            self.point()
            done = work(*given, **named)
            self.point()
            return done

        return with_points
