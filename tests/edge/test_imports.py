"""A speaker is light: it runs where the core's packages are not installed."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"av", "sqlalchemy", "alembic", "aiosqlite", "sounddevice", "uvloop"}:
            raise ModuleNotFoundError(f"{name} is not for a speaker")

sys.meta_path.insert(0, Blocked())
import importlib, pkgutil
import loa.edge.speaker
for module in pkgutil.iter_modules(loa.edge.speaker.__path__, "loa.edge.speaker."):
    importlib.import_module(module.name)
import loa.app.speaker, loa.cli.speaker
from loa.codecs.opus_decode import OpusDecoder
assert len(OpusDecoder().conceal(960)) == 960
upward = [name for name in sys.modules if name.startswith(("loa.broadcast", "loa.control_api", "loa.monitoring"))]
assert not upward, upward
"""


def test_the_speaker_imports_without_the_core_s_packages() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
