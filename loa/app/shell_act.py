"""Who works on the core from the shell, as the journal names them."""

from __future__ import annotations

import os
import pwd

from loa.broadcast.journal.act import Act


def shell_act(now_ms: int) -> Act:
    """An act of the user whose shell this is; `name` is who became that user by sudo, if somebody did."""
    login = _login(os.getuid())
    return Act(f"shell:{login}"[:80], os.environ.get("SUDO_USER", login)[:80], now_ms)


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
