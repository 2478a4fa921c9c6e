"""kill -9 before each change of the disk that an action makes, one after the other."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

_KILLED = 9
_CHANGES = ("fsync", "mkdir", "open", "remove", "rename", "replace", "unlink")


def died_at(step: int, action: Callable[[], object]) -> bool:
    """Run `action` in a process that dies before its `step`-th change (from 1); False when it ended before that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads: the child only does files
        child = os.fork()
    if child == 0:
        code = 1
        try:
            _patch(step)
            action()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, _KILLED):
        raise AssertionError(f"the action failed at step {step} instead of being killed")
    return status == _KILLED


def _patch(step: int) -> None:
    left = [step]

    def counted(true: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os._exit(_KILLED)
            return true(*args, **kwargs)

        return change

    for name in _CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def crashes(prepare: Callable[[], Callable[[], object]], most: int = 200) -> Iterator[int]:
    """For each step: `prepare` makes a fresh place and the action in it, which is killed there. Then look at it.

    Ends when the action came to its end; at least one step must have been met.
    """
    for step in range(1, most):
        if not died_at(step, prepare()):
            assert step > 1, "the action changed nothing"
            return
        yield step
    raise AssertionError(f"more than {most} changes")
