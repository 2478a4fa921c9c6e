"""What the documents name is there, and what is there is named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from loa.app.load.acceptance import Limits
from loa.app.settings_reference import reference_table
from loa.cli import app
from loa.codecs import link_wire
from loa.codecs.channel_wire import Type
from loa.control_api.table import OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
HTTP = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
BACKUP = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
KEYS = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
LOAD = (ROOT / "docs" / "load.md").read_text(encoding="utf-8")
PEOPLE = (ROOT / "docs" / "people.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default() -> None:
    assert reference_table() in SETTINGS, "put there what `loa config reference` prints"


def test_every_route_is_documented() -> None:
    for path in {operation.path for operation in OPERATIONS}:
        tail = path.removeprefix("/api/v1")
        assert path in HTTP or tail in HTTP or "…" + tail[tail.rindex("/") :] in HTTP, path


def test_every_type_number_stands_in_the_protocol() -> None:
    for kind in Type:
        assert f"| 0x{kind:02x} | {kind.name} |" in PROTOCOL, kind
    for number in link_wire._READERS:
        assert re.search(rf"^\| {number} \| \w", PROTOCOL, re.MULTILINE), number


Command = TyperCommand | TyperGroup


def _loa() -> TyperGroup:
    whole = typer.main.get_command(app)
    assert isinstance(whole, TyperGroup)
    return whole


def _below(group: TyperGroup) -> dict[str, Command]:
    return {name: command for name, command in group.commands.items() if isinstance(command, Command)}


def _commands(
    group: TyperGroup, path: tuple[str, ...] = ("loa",)
) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Every command by its whole name."""
    for name, command in _below(group).items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


def _must_parse(line: str) -> None:
    """Whatever the command line says against it, unless the line is a command as it can be typed."""
    words = shlex.split(line)
    command: Command = _loa()
    while isinstance(command, TyperGroup):
        del words[0]
        assert words, f"{line}: not a whole command"
        assert words[0] in command.commands, f"{line}: there is no {words[0]}"
        command = _below(command)[words[0]]
    command.make_context(words[0], words[1:]).close()


def _blocks(text: str) -> list[str]:
    """The lines of all code blocks that are in no other language."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for language, block in blocks if not language for line in block.splitlines()]


def test_every_command_for_people_can_be_typed() -> None:
    lines = _blocks(PEOPLE)
    for line in lines:
        _must_parse(line)
    told = {" ".join(line.split()[:3]) for line in lines}
    assert told == {" ".join(path) for path, _ in _commands(_loa()) if path[1] == "users"}


@pytest.mark.parametrize("page", [KEYS, BACKUP], ids=["keys", "backup"])
def test_every_command_on_a_page_of_commands_can_be_typed(page: str) -> None:
    lines = _blocks(page)
    assert len(lines) > 20
    for line in lines:
        _must_parse(line)


@pytest.mark.parametrize(
    "line", ["loa keys", "loa keys forget", "loa keys rotate --never", "loa keys request", "loa keys revoke"]
)
def test_a_command_that_cannot_be_typed_is_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"not a whole|there is no|No such|Missing"):
        _must_parse(line)


def test_every_limit_of_a_load_run_is_documented_with_its_default() -> None:
    for each in fields(Limits):
        assert f"| `{each.name}` | {getattr(Limits(), each.name):,} |" in LOAD, each.name


PAGES = {
    "keys": KEYS,
    "tokens": KEYS,
    "revoke-device": KEYS,
    "backup": BACKUP,
    "restore": BACKUP,
    "check": BACKUP,
    "load": LOAD,
}
"""Where all of a command, or of a group of them, is documented."""


@pytest.mark.parametrize("group", PAGES)
def test_every_command_of_a_page_and_its_options_are_documented(group: str) -> None:
    about, page = ("--config", "--data-dir", "--yes", "--help"), PAGES[group]
    commands = [(path, command) for path, command in _commands(_loa()) if path[1] == group]
    assert commands
    for path, command in commands:
        assert " ".join(path) in page, path
        for parameter in command.params:
            assert isinstance(parameter, TyperOption | TyperArgument)
            if isinstance(parameter, TyperOption) and not set(parameter.opts) & set(about):
                assert parameter.opts[0] in page, (path, parameter.opts)


def test_what_the_ceremonies_say_in_passing_exists() -> None:
    known = {" ".join(path) for path, _ in _commands(_loa())}
    for named in re.findall(r"`(loa [^`…]*)[`…]", KEYS.replace("\n", " ")):
        words = [word for word in named.split() if not word.startswith("-")]
        assert any(" ".join(words[:count]) in known for count in (2, 3)) or named.strip() == "loa keys", named


@pytest.mark.parametrize("name", ["keys.md", "backup.md", "settings.md"])
def test_every_link_leads_to_a_page_and_a_heading(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([\w.]*)(?:#([^)]+))?\)", page)
    assert links
    for file, anchor in links:
        there = (ROOT / "docs" / (file or name)).read_text(encoding="utf-8")
        headings = [re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in _headings(there)]
        assert not anchor or anchor in headings, (file, anchor)


def _headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)


def test_every_ceremony_begins_with_a_summary_in_vietnamese() -> None:
    sections = re.split(r"^## ", KEYS, flags=re.MULTILINE)[1:]
    ceremonies = [section for section in sections if not section.startswith("Files that are gone")]
    assert len(ceremonies) == 10
    for section in ceremonies:
        heading, _, rest = section.partition("\n")
        assert rest.lstrip().startswith("> **Tóm tắt.**"), heading
        for part in ("**When.**", "**Who.**", "**You see.**", "**If it goes"):
            assert part in rest, (heading, part)


def test_the_readme_names_only_commands_that_exist() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert set(re.findall(r"^loa (\w+)", README, re.MULTILINE)) <= known
    for linked in re.findall(r"\]\(((?:docs/)?[\w.]+\.md)\)", README):
        assert (ROOT / linked).is_file(), linked


def test_the_book_names_chapters_that_exist_and_leaves_none_out() -> None:
    book = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([\w./-]+\.md)\)", book))
    for page in linked:
        assert (ROOT / "docs" / page).is_file(), page
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= linked


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(((?!https?:)[\w./-]+)(?:#[\w-]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_tests_that_security_names_are_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8")))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 30
    assert named <= there, named - there
