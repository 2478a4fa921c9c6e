"""How many files this process may have open."""

from __future__ import annotations

import contextlib
import resource


def raise_file_limit() -> int:
    """Allow this process as many as it may have at all; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
