"""The systemd units: systemd itself reads them without a word, they are shut tight, and what they start exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from loa import config
from loa.broadcast.air.chronicle import WRITTEN_S
from loa.cli import app
from loa.cli.speaker import EXIT_CONFIG, EXIT_ENROLMENT

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = ("loa.service", "loa-speaker@.service")
EXPOSURE = {"loa.service": 1.3, "loa-speaker@.service": 1.6}
"""The worst that systemd-analyze may say, 0 to 10. What is left is what a thing that speaks to a network needs."""


def settings(unit: str) -> dict[str, list[str]]:
    """The unit's settings, all values of each."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / unit).read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with systemd's own units, ours, and something to start."""
    root = tmp_path_factory.mktemp("root")
    own = root / "usr" / "lib" / "systemd"
    own.mkdir(parents=True)
    shutil.copytree("/lib/systemd/system", own / "system", symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    placed = root / "etc" / "systemd" / "system"
    placed.mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(SYSTEMD / unit, placed)
    for name in ("opt/loa/bin/loa", "bin/sh"):
        command = root / name
        command.parent.mkdir(parents=True)
        shutil.copy("/bin/true", command)
    return root


def verify(root: Path, unit: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", "--man=no", unit.replace("@", "@phu-lien")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_it(system: Path, unit: str) -> None:
    assert verify(system, unit) == ""


def test_systemd_would_have_something_to_say(system: Path) -> None:
    placed = system / "etc" / "systemd" / "system" / "wrong.service"
    placed.write_text((SYSTEMD / UNITS[0]).read_text(encoding="utf-8").replace("ProtectClock", "ProtectClokc"))
    assert "ProtectClokc" in verify(system, "wrong.service")


@pytest.mark.parametrize("unit", UNITS)
def test_it_is_shut_as_tight_as_is_said(unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(SYSTEMD / unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert score, done.stdout + done.stderr
    assert float(score[1]) <= EXPOSURE[unit]


@pytest.mark.parametrize("unit", UNITS)
def test_it_starts_a_command_with_options_that_exist(unit: str) -> None:
    (line,) = settings(unit)["ExecStart"]
    program, name, *arguments = line.split()
    assert program == "/opt/loa/bin/loa"
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    known = {option for parameter in command.commands[name].params for option in parameter.opts}
    assert {argument.partition("=")[0] for argument in arguments if argument.startswith("--")} <= known


def test_it_is_given_the_time_that_it_takes_to_end() -> None:
    (stop,) = settings("loa.service")["TimeoutStopSec"]
    # Draining, the scribe's last words, HTTP's handlers (waited for twice), the media process.
    assert float(stop) > config.CoreConfig().drain_s + WRITTEN_S + 2 * 2.0 + 3.0


def test_a_speaker_that_cannot_be_mended_by_trying_is_not_tried_again() -> None:
    (statuses,) = settings("loa-speaker@.service")["RestartPreventExitStatus"]
    assert {int(status) for status in statuses.split()} == {EXIT_CONFIG, EXIT_ENROLMENT}


def test_the_speaker_s_example_names_what_it_can_be_told() -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    known = {parameter.envvar for parameter in command.commands["speaker"].params if parameter.envvar}
    example = (SYSTEMD / "speaker.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == known


def test_the_example_of_settings_can_be_read() -> None:
    assert config.load(ROOT / "deploy" / "loa.toml").http_host == "127.0.0.1"


_NO_WRITTEN_CODE = """
import ctypes, mmap, sys
from pathlib import Path
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0:
    try:
        mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
    except PermissionError:
        pass
    else:
        sys.exit("the kernel gives memory that is written and executed")
import uvloop
from loa.broadcast.content.ingest import ingest
from loa.codecs import libopus, srtp
from loa.codecs.ogg_opus import read_ogg_opus
from loa.codecs.opus_decode import OpusDecoder
from loa.codecs.signed import SigningKey
from tests import sounds
folder = Path(sys.argv[1])
(folder / "tone.wav").write_bytes(sounds.wav(sounds.tone(1)))
ingest(folder / "tone.wav", folder / "tone.ogg")
with OpusDecoder() as decoder:
    for packet in read_ogg_opus((folder / "tone.ogg").read_bytes()).packets:
        decoder.decode(packet)
SigningKey.generate()
"""


def test_the_core_needs_no_memory_that_is_written_and_executed(tmp_path: Path) -> None:
    """What MemoryDenyWriteExecute promises, by the kernel's own means; one before Linux 6.3 has none."""
    done = subprocess.run(
        [sys.executable, "-c", _NO_WRITTEN_CODE, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
