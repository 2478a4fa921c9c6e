"""The house as it is drawn: the links, and the arrows of who may import whom."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("broadcast", "codecs", "control_api", "edge", "monitoring")

GROUND = {
    "loa",
    "loa.__version__",
    "loa.arbiter",
    "loa.config",
    "loa.durable",
    "loa.errors",
    "loa.folder_lock",
    "loa.model",
}
# A room may import what is named here, the shared ground, and itself. The longest name that fits decides.
ARROWS: dict[str, set[str]] = {
    "loa.timing": set(),
    "loa.codecs": {"loa.timing"},
    "loa.broadcast": {"loa.codecs", "loa.timing"},
    "loa.edge": {"loa.broadcast", "loa.codecs", "loa.timing"},
    "loa.edge.speaker": {"loa.codecs", "loa.timing"},
    "loa.control_api": {"loa.broadcast", "loa.codecs", "loa.timing"},
    "loa.monitoring": {"loa.broadcast", "loa.codecs", "loa.timing"},
    "loa.app": {
        "loa.broadcast",
        "loa.codecs",
        "loa.control_api",
        "loa.edge",
        "loa.monitoring",
        "loa.timing",
    },
    "loa.cli": {"loa.app", "loa.broadcast", "loa.codecs", "loa.edge", "loa.timing"},
}


def modules() -> list[Path]:
    return sorted((ROOT / "loa").rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def forbidden_imports(name: str, imported: set[str]) -> list[str]:
    room = max((r for r in ARROWS if inside(name, r)), key=len, default=None)
    if room is None:
        return []
    allowed = ARROWS[room] | {room}
    own = {i for i in imported if inside(i, "loa")}
    return sorted(
        i
        for i in own
        if not any(inside(i, a) for a in allowed)
        and not any(i == g or (g != "loa" and inside(i, g)) for g in GROUND)
    )


@pytest.mark.parametrize("path", modules(), ids=module_name)
def test_a_module_imports_only_what_the_layers_allow(path: Path) -> None:
    assert forbidden_imports(module_name(path), imports(path)) == []


def test_the_import_rule_sees_an_upward_import() -> None:
    assert forbidden_imports("loa.codecs.rtp", {"loa.broadcast.air"}) == ["loa.broadcast.air"]
    assert forbidden_imports("loa.edge.speaker.link", {"loa.broadcast.records"}) == ["loa.broadcast.records"]
    assert forbidden_imports("loa.broadcast.air.hub", {"loa.app.core"}) == ["loa.app.core"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_link_at_the_root_shows_each_room(room: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-s", "--", room], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert tracked.startswith("120000 "), "not a link in the repository"
    assert (ROOT / "loa" / room / "__init__.py").is_file()


@pytest.mark.parametrize(
    "path", [path for path in modules() if inside(module_name(path), "loa.codecs")], ids=module_name
)
def test_codecs_know_no_clock_and_no_socket(path: Path) -> None:
    assert not imports(path) & {"time", "socket", "asyncio", "threading", "select"}


def test_locks_name_no_address() -> None:
    for lock in (ROOT / "requirements").glob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, lock.name
        assert "--hash=sha256:" in text, lock.name


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (ROOT / "requirements" / "core.lock").read_text(encoding="utf-8").lower()
    wanted = project["dependencies"] + project["optional-dependencies"]["core"]
    for requirement in wanted:
        name = requirement.split("[")[0].split(">")[0].split("=")[0].strip().lower()
        assert f"{name}==" in lock or f"{name}[asyncio]==" in lock, name
