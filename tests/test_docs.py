"""What the documents name is there, and what is there is named."""

from __future__ import annotations

import re
from pathlib import Path

from loa.cli import app
from loa.codecs import link_wire
from loa.codecs.channel_wire import Type
from loa.config import CoreConfig
from loa.control_api.table import OPERATIONS

ROOT = Path(__file__).resolve().parent.parent
HTTP = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", HTTP, re.MULTILINE))
    assert rows == {name: str(field.default) for name, field in CoreConfig.model_fields.items()}


def test_every_route_is_documented() -> None:
    for path in {operation.path for operation in OPERATIONS}:
        tail = path.removeprefix("/api/v1")
        assert path in HTTP or tail in HTTP or "…" + tail[tail.rindex("/") :] in HTTP, path


def test_every_type_number_stands_in_the_protocol() -> None:
    for kind in Type:
        assert f"| 0x{kind:02x} | {kind.name} |" in PROTOCOL, kind
    for number in link_wire._READERS:
        assert re.search(rf"^\| {number} \| \w", PROTOCOL, re.MULTILINE), number


def test_the_readme_names_only_commands_that_exist() -> None:
    known = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert set(re.findall(r"^loa (\w+)", README, re.MULTILINE)) <= known
    for linked in re.findall(r"\]\(((?:docs/)?[\w.]+\.md)\)", README):
        assert (ROOT / linked).is_file(), linked
