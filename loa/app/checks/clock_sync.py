"""Does the kernel know that its clock is kept right? adjtimex(2), which asks nobody else and changes nothing."""

from __future__ import annotations

import ctypes
import sys

_TIME_ERROR = 5
_STA_UNSYNC = 0x0040


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("_rest", ctypes.c_long * 64),
    )


def clock_is_synchronised() -> bool | None:
    """Whether something (NTP, a hypervisor) keeps the clock; None where the kernel cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    asked = _Timex()
    try:
        state: int = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    return state != _TIME_ERROR and not asked.status & _STA_UNSYNC
