"""The ceremonies as people hold them: commands, what they ask, what they tell, and what is true afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from loa import config as settings
from loa.app import shell_act
from loa.app.store import opened_store
from loa.broadcast.journal.act import system
from loa.broadcast.orders.keyring import KeyRing
from loa.broadcast.people.rights import Role
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.store import journal as stored_journal
from loa.broadcast.store.database import Database
from loa.broadcast.store.tokens import Tokens
from loa.cli import app
from loa.codecs import human_text
from loa.codecs.enrolment_wire import EnrolmentCode, claim_mac
from loa.codecs.signed import SigningKey
from loa.control_api.bearer import BearerTokens
from loa.errors import AuditError, EnrolmentError
from loa.folder_lock import folder_lock
from loa.model import EndpointKind

T = TypeVar("T")
NOW_MS = int(time.time() * 1000)
VALID_S = 86_400
PASSPHRASE = "Đường về Cát Hải mùa nước lớn"


class Town:
    """A core's data folder, an offline machine's, and a stick to carry files between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "loa-data"
        self.keys = self.data / "keys"
        self.offline = folder / "offline"
        self.stick = folder / "stick"
        self.stick.mkdir()

    def run(self, *arguments: str | Path, typed: str = "", fails: str | None = None) -> str:
        """What the command said; AssertionError unless it ended well, or failed with an error that says `fails`."""
        result = self.result(*arguments, typed=typed)
        if fails is None:
            assert result.exit_code == 0, (result.output, result.exception)
        else:
            assert re.search(fails, str(result.exception)), (result.output, result.exception)
        return result.output

    def result(self, *arguments: str | Path, typed: str = "") -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], input=typed)

    def core(self, *arguments: str | Path, typed: str = "", fails: str | None = None) -> str:
        """`run` with this core's data folder."""
        return self.run(*arguments, "--data-dir", self.data, typed=typed, fails=fails)

    def shown(self) -> dict[str, Any]:
        """What `loa keys show --json` says."""
        values: dict[str, Any] = json.loads(self.core("keys", "show", "--json"))
        return values

    def fingerprint(self, file: Path) -> str:
        return human_text.fingerprint(file.read_bytes())

    def start_keys(self) -> KeyRing:
        """Keys as a core makes them at its first start, the root among them."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        return KeyRing.open(self.keys, 1)

    def in_store(self, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
        """Do something in the core's store."""

        async def done() -> T:
            async with opened_store(settings.load(data_dir=self.data)) as db:
                return await work(db)

        return asyncio.run(done())

    def audit(self) -> list[dict[str, Any]]:
        """The entries of the audit log."""

        async def entries(db: Database) -> list[dict[str, Any]]:
            async with db.read() as connection:
                return [json.loads(link.entry) for link in await stored_journal.links(connection, 0, 1000)]

        return self.in_store(entries)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def _now_ring(town: Town) -> KeyRing:
    return KeyRing.open(town.keys, 1, create=False)


# --- an offline root ------------------------------------------------------------------------------------------


def test_an_offline_root_from_its_making_to_a_core_with_keys(town: Town) -> None:
    made = town.run("keys", "create-root", town.offline)
    root = town.fingerprint(town.offline / "root.pub")
    assert root in made
    asked = town.core("keys", "request", "--out", town.stick / "request")
    shown = town.fingerprint(town.stick / "request")
    assert shown in asked
    assert town.shown()["advice"] == ["sign_request"]
    signing = ("keys", "sign", town.stick / "request", "--root", town.offline, "--out", town.stick / "grant")
    town.run(*signing, typed="AAAAA-AAAAA-AAAAA-AAAAA\n", fails="fingerprints differ")
    assert not (town.stick / "grant").exists()
    said = town.run(*signing, typed=shown.lower() + "\n")
    assert root in said
    town.core("keys", "install", town.stick / "grant", typed="\nnonsense\n", fails="fingerprints differ")
    assert town.shown()["version"] is None
    town.core("keys", "install", town.stick / "grant", typed=root + "\n")
    values = town.shown()
    assert (values["root_fingerprint"], values["version"], values["advice"]) == (root, 1, ["nothing"])
    assert not values["root_is_here"]
    assert [key["in_use"] for key in values["keys"]] == [True]


def test_rotation_by_exchange_needs_no_second_look_at_the_root(town: Town) -> None:
    town.run("keys", "create-root", town.offline)
    for turn in range(2):
        town.core("keys", "request", "--out", town.stick / "request")
        fingerprint = ("--fingerprint", town.fingerprint(town.stick / "request"))
        town.run(
            "keys",
            "sign",
            town.stick / "request",
            "--root",
            town.offline,
            "--out",
            town.stick / "grant",
            *fingerprint,
        )
        more = ("--root-fingerprint", town.fingerprint(town.offline / "root.pub")) if turn == 0 else ()
        town.core("keys", "install", town.stick / "grant", *more)
    assert (town.shown()["version"], len(town.shown()["keys"])) == (2, 2)


@pytest.mark.parametrize("what", ["request", "grant"])
def test_files_that_are_none_are_said_to_be_none(town: Town, what: str) -> None:
    town.run("keys", "create-root", town.offline)
    (town.stick / what).write_bytes(b"\x00" * 500)
    if what == "request":
        out = ("--root", town.offline, "--out", town.stick / "out", "--fingerprint", "0")
        town.run("keys", "sign", town.stick / "request", *out, fails="request does not hold")
    else:
        town.core("keys", "install", town.stick / "grant", fails="does not hold")
    town.core("keys", "install", town.stick / "nowhere", fails="is not there")


_OFFLINE_MACHINE = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"av", "sqlalchemy", "alembic", "aiosqlite", "aiohttp", "uvloop", "argon2"}:
            raise ModuleNotFoundError(f"{name} is not on an offline machine")

sys.meta_path.insert(0, Blocked())
from loa.cli import app
app(sys.argv[1:])
"""


def test_an_offline_machine_needs_little(town: Town) -> None:
    town.core("keys", "request", "--out", town.stick / "request")
    fingerprint = town.fingerprint(town.stick / "request")
    (town.folder / "passphrase").write_text(PASSPHRASE)
    (town.folder / "passphrase").chmod(0o600)
    paper = (str(town.stick / "paper"), "--passphrase-file", str(town.folder / "passphrase"))
    for arguments in (
        ["create-root", str(town.offline)],
        ["sign", str(town.stick / "request"), "--root", str(town.offline), "--out", str(town.stick / "grant"),
         "--fingerprint", fingerprint],
        ["export", *paper, "--root", str(town.offline)],
        ["import", *paper, "--to", str(town.folder / "again")],
        ["drill"],
    ):  # fmt: skip
        command = [sys.executable, "-c", _OFFLINE_MACHINE, "keys", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert (town.folder / "again" / "root.key").read_bytes() == (town.offline / "root.key").read_bytes()


# --- the order key --------------------------------------------------------------------------------------------


def test_renew_rotate_and_revoke_with_the_root_here_or_on_a_visit(town: Town) -> None:
    first = town.start_keys().order_key.key_id.hex()
    assert town.shown()["advice"] == ["take_root_away"]
    town.core("keys", "renew")
    assert (town.shown()["version"], town.shown()["keys"][0]["id"]) == (3, first), (
        "it had expired, and is renewed twice"
    )
    town.core("keys", "take-root-away", town.stick)
    town.core("keys", "rotate", fails=r"root\.key is not there")
    town.core("keys", "rotate", "--root", town.stick)
    values = town.shown()
    assert [key["id"] for key in values["keys"]][1] == first
    assert not values["root_is_here"]
    town.core("keys", "revoke", first.upper(), "--root", town.stick / "root.key")
    assert town.shown()["revoked"] == [first]
    for wrong in ("", "abc", "x" * 16, first + "00"):
        town.core("keys", "revoke", wrong, "--root", town.stick, fails="16 hex digits")
    assert town.shown()["version"] == 5


def test_words_for_people_are_in_both_languages(town: Town) -> None:
    town.start_keys()
    said = town.core("keys", "show")
    assert "Việc tiếp theo" in said
    assert "Next" in said
    assert town.shown()["keys"][0]["id"] in said


def test_it_is_written_down_who_held_a_ceremony(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = town.start_keys()
    assert town.core("keys", "rotate")
    monkeypatch.setenv("SUDO_USER", "lan")
    town.in_store(lambda db: Areas(db).create(None, "Hải Phòng", "city", None, system(1)))
    town.core("keys", "rotate")
    town.core("keys", "revoke", ring.order_key.key_id.hex())
    town.core("keys", "take-root-away", town.stick)
    town.core("keys", "bring-root-back", town.stick)
    entries = town.audit()[1:]
    assert [entry["action"] for entry in entries] == [
        "keys.rotate",
        "keys.revoke",
        "keys.take_root_away",
        "keys.bring_root_back",
    ]
    actor = shell_act.shell_act(1).actor
    assert {(entry["actor"], entry["name"]) for entry in entries} == {(actor, "lan")}
    assert entries[1]["after"]["revoked"] == [ring.order_key.key_id.hex()]
    assert (town.stick / "root.key").read_bytes().hex() not in json.dumps(entries)


def test_a_ceremony_by_the_wrong_user_is_refused(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.start_keys()
    monkeypatch.setattr(os, "geteuid", lambda: town.keys.stat().st_uid + 1)
    town.core("keys", "rotate", fails="another user")
    assert town.shown()["version"] == 1


def test_a_wrong_folder_gets_no_keys(town: Town) -> None:
    for command in (("rotate",), ("renew",), ("take-root-away", str(town.stick)), ("revoke", "00" * 8)):
        town.core("keys", *command, fails="cannot be used")
    assert not town.data.exists()


# --- the root key ---------------------------------------------------------------------------------------------


def test_the_root_is_taken_away_with_a_word_about_the_second_copy(town: Town) -> None:
    town.start_keys()
    said = town.core("keys", "take-root-away", town.stick)
    assert "ONLY ONE COPY" in said
    assert "same disk" in said
    assert "ONLY ONE COPY" not in (town.core("keys", "bring-root-back", town.stick))
    (town.folder / "safe").mkdir()
    assert "ONLY ONE COPY" not in town.core("keys", "take-root-away", town.stick, town.folder / "safe")
    assert (town.folder / "safe" / "root.key").exists()
    assert not town.shown()["root_is_here"]


def test_paper_and_back(town: Town) -> None:
    town.start_keys()
    seed = (town.keys / "root.key").read_bytes()
    paper = town.stick / "paper.txt"
    town.core("keys", "export", paper, typed=f"{PASSPHRASE}\n{PASSPHRASE}\n")
    assert paper.stat().st_mode & 0o777 == 0o600
    assert town.shown()["root_fingerprint"] in paper.read_text()
    town.core("keys", "export", paper, typed=f"{PASSPHRASE}\n{PASSPHRASE}\n", fails="cannot be made")
    town.core("keys", "take-root-away", town.stick)
    town.core("keys", "import", paper, typed="another passphrase\n", fails="passphrase")
    assert not (town.keys / "root.key").exists()
    town.core("keys", "import", paper, typed=f"{PASSPHRASE}\n")
    assert (town.keys / "root.key").read_bytes() == seed
    town.core("keys", "import", paper, "--to", town.offline, typed=f"{PASSPHRASE}\n")
    assert (town.offline / "root.key").read_bytes() == seed


def test_a_typing_mistake_is_told_before_the_passphrase_is_asked_for(town: Town) -> None:
    town.start_keys()
    (town.folder / "passphrase").write_text(PASSPHRASE + "\n")
    (town.folder / "passphrase").chmod(0o600)
    given = ("--passphrase-file", town.folder / "passphrase")
    paper = town.core("keys", "export", "-", *given)
    typed = "".join(line + "\n" for line in paper.splitlines() if re.match(r"\d:", line))
    line = typed.splitlines()[2]
    wrong = typed.replace(line, line[:4] + ("A" if line[4] != "A" else "B") + line[5:])
    said = town.result("keys", "import", "-", "--to", str(town.offline))
    assert "line 1 of the backup is missing" in str(said.exception)
    said = town.result("keys", "import", "-", "--to", str(town.offline), typed=wrong)
    assert "line 3 of the backup has a typing mistake" in str(said.exception)
    assert "Passphrase" not in said.output
    town.run("keys", "import", "-", "--to", town.offline, *given, typed=typed)
    assert (town.offline / "root.key").read_bytes() == (town.keys / "root.key").read_bytes()


def test_a_passphrase_that_others_can_read_or_guess_is_refused(town: Town) -> None:
    town.start_keys()
    file = town.folder / "passphrase"
    file.write_text(PASSPHRASE)
    file.chmod(0o644)
    town.core("keys", "export", town.stick / "paper", "--passphrase-file", file, fails="0600")
    town.core("keys", "export", town.stick / "paper", "--passphrase-file", town.folder / "none", fails="not there")
    town.core("keys", "export", town.stick / "paper", typed="short\nshort\n", fails="12 characters")
    assert list(town.stick.iterdir()) == []


# --- the root is lost -----------------------------------------------------------------------------------------


async def _devices(db: Database, ring: KeyRing, names: list[str]) -> list[EnrolmentCode]:
    """Enrolled speakers of these names, and one more code that nobody has used."""
    areas = Areas(db)
    area = await areas.create(None, "Phường Phù Liễn", "commune", None, system(1))
    enrolments = Enrolments(db, ring)
    codes = []
    for name in [*names, "not yet"]:
        _, code = await enrolments.create(area.id, EndpointKind.SPEAKER, name, system(NOW_MS - 60_000), VALID_S)
        codes.append(code)
        if name in names:
            await _claim(enrolments, code, NOW_MS - 60_000)
    return codes


async def _claim(enrolments: Enrolments, code: EnrolmentCode, now_ms: int) -> None:
    device = SigningKey.generate().public_key
    mac = claim_mac(code.key(), code_id=code.code_id, device_key=device, nonce=b"n" * 16, kind="speaker")
    await enrolments.claim(
        code_id=code.code_id, device_key=device, nonce=b"n" * 16, kind="speaker", mac=mac, act=system(now_ms)
    )


def _rows(file: Path) -> list[dict[str, str]]:
    assert file.stat().st_mode & 0o777 == 0o600
    with file.open(encoding="utf-8-sig", newline="") as opened:
        return list(csv.DictReader(opened))


NAMES = ["Cụm loa số 1", '=HYPERLINK("x")', "Cụm loa, số 3"]


def test_a_lost_root_is_replaced_and_every_device_has_a_code(town: Town) -> None:
    ring = town.start_keys()
    town.in_store(lambda db: _devices(db, ring, NAMES))
    said = town.core("keys", "replace-root", "--codes", town.folder / "codes.csv", typed="y\n")
    assert "3  Phường Phù Liễn" in said
    rows = _rows(town.folder / "codes.csv")
    assert sorted(row["name"] for row in rows) == sorted(["Cụm loa số 1", '\'=HYPERLINK("x")', "Cụm loa, số 3"])
    assert {row["area"] for row in rows} == {"Phường Phù Liễn"}
    values = town.shown()
    assert (values["version"], values["root_is_here"]) == (1, True)
    assert values["root_fingerprint"] != human_text.fingerprint(ring.root_public_key)
    (kept,) = town.data.glob("keys.replaced-*")
    assert (kept / "order.key").read_bytes() == ring.order_key.seed

    async def come_back(db: Database) -> None:
        enrolments = Enrolments(db, _now_ring(town))
        for row in rows:
            await _claim(enrolments, EnrolmentCode.parse(row["code"]), int(time.time() * 1000))

    town.in_store(come_back)
    assert "0 devices" in town.core("keys", "enrol-again")
    actions = [entry["action"] for entry in town.audit()]
    assert actions.count("keys.replace_root") == 1
    assert actions.count("endpoint.revoke") == 3
    text_of_log = json.dumps(town.audit())
    assert not any(row["code"] in text_of_log for row in rows)


def test_codes_can_be_made_later_and_again_after_a_failure(town: Town) -> None:
    ring = town.start_keys()
    town.core("keys", "enrol-again", "--codes", town.folder / "early.csv")
    assert not (town.folder / "early.csv").exists()
    town.in_store(lambda db: _devices(db, ring, NAMES))
    town.core("keys", "replace-root", "--yes")
    town.core("keys", "enrol-again", "--list", town.folder / "list.csv")
    assert [row["code"] for row in _rows(town.folder / "list.csv")] == ["", "", ""]
    (town.folder / "there.csv").write_text("somebody's")
    town.core("keys", "enrol-again", "--codes", town.folder / "there.csv", fails="cannot be made")
    assert (town.folder / "there.csv").read_text() == "somebody's"
    said = town.core("keys", "enrol-again", "--codes", town.folder / "codes.csv")
    assert "3 codes" in said
    assert all(EnrolmentCode.parse(row["code"]) for row in _rows(town.folder / "codes.csv"))


_KILLED = """
import os, sys
from loa.broadcast.registry import re_enrolment
from loa.cli import app

re_enrolment.BATCH, true_fsync, left = 1, os.fsync, [int(sys.argv[1])]

def fsync(descriptor):
    left[0] -= 1
    if left[0] == 0:
        os._exit(9)
    true_fsync(descriptor)
    left[0] -= 1
    if left[0] == 0:
        os._exit(9)

os.fsync = fsync
app(sys.argv[2:])
"""


def test_codes_that_a_kill_cut_off_are_good_or_made_again(town: Town) -> None:
    ring = town.start_keys()
    names = [f"Cụm loa {number}" for number in range(3)]
    town.in_store(lambda db: _devices(db, ring, names))
    town.core("keys", "replace-root", "--yes")
    codes = []
    for step in range(5, 20):  # from the first code on
        sheet = town.folder / f"codes-{step}.csv"
        command = [sys.executable, "-c", _KILLED, str(step), "keys", "enrol-again", f"--codes={sheet}"]
        command.append(f"--data-dir={town.data}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in (0, 9), done.stderr
        codes += [row["code"] for row in _rows(sheet)] if sheet.exists() and sheet.stat().st_size else []
        if done.returncode == 0:
            break
    assert 6 < step < 19
    assert len(codes) > 3, "some were written down, and the kill came before they were good"

    async def come_back(db: Database) -> int:
        enrolments, enrolled = Enrolments(db, _now_ring(town)), 0
        for code in codes:
            with contextlib.suppress(EnrolmentError):
                await _claim(enrolments, EnrolmentCode.parse(code), int(time.time() * 1000))
                enrolled += 1
        return enrolled

    assert town.in_store(come_back) == 3, "each device has one code that is good"


def test_nothing_is_replaced_without_a_yes_or_under_a_running_core(town: Town) -> None:
    ring = town.start_keys()
    town.core("keys", "replace-root", typed="n\n", fails="nothing was changed")
    with folder_lock(town.data):
        town.core("keys", "replace-root", "--yes", fails="Stop the core first")
    town.core("keys", "replace-root", "--yes", "--grant", town.stick / "none", fails="not there")
    assert _now_ring(town).root_public_key == ring.root_public_key
    assert list(town.data.glob("keys.*")) == []


def test_the_new_root_can_be_made_offline(town: Town) -> None:
    town.start_keys()
    town.run("keys", "create-root", town.offline)
    town.core("keys", "replace-root", "--request", town.stick / "request")
    fingerprint = town.fingerprint(town.stick / "request")
    signing = ("keys", "sign", town.stick / "request", "--root", town.offline, "--out", town.stick / "grant")
    town.run(*signing, "--fingerprint", fingerprint)
    root = town.fingerprint(town.offline / "root.pub")
    town.core("keys", "replace-root", "--grant", town.stick / "grant", "--yes", typed="0\n", fails="differ")
    town.core("keys", "replace-root", "--grant", town.stick / "grant", "--yes", "--root-fingerprint", root)
    values = town.shown()
    assert (values["root_fingerprint"], values["root_is_here"], values["advice"]) == (root, False, ["nothing"])


# --- the core is compromised ----------------------------------------------------------------------------------


async def _token(db: Database) -> str:
    return (await BearerTokens(Tokens(db)).create("an", Role.ADMIN, system(1)))[1]


def _good(town: Town, token: str) -> bool:
    async def checked(db: Database) -> bool:
        return await BearerTokens(Tokens(db)).check(token, 2_000) is not None

    return town.in_store(checked)


def _shut_out(town: Town, ring: KeyRing, token: str, codes: list[EnrolmentCode]) -> None:
    """Nothing that was good on the core before is good now, and the administrator has a way in."""
    values = town.shown()
    assert ring.order_key.key_id.hex() in values["revoked"]
    assert len(values["keys"]) == 1
    assert not _good(town, token)
    assert _good(town, (town.data / "admin.token").read_text().strip())

    async def claimed(db: Database) -> None:
        await _claim(Enrolments(db, ring), codes[-1], int(time.time() * 1000))

    with pytest.raises(EnrolmentError) as caught:
        town.in_store(claimed)
    assert caught.value.slug == "expired"
    actions = [entry["action"] for entry in town.audit()]
    assert {"keys.core_compromised", "token.revoke", "enrolment.end_open", "user.shut_out_all"} <= set(actions)


def test_a_compromised_core_with_its_root_on_a_visit(town: Town) -> None:
    ring = town.start_keys()
    town.core("keys", "take-root-away", town.stick)
    codes = town.in_store(lambda db: _devices(db, ring, NAMES[:1]))
    token = town.in_store(_token)
    assert _good(town, token)
    with folder_lock(town.data):
        town.core("keys", "core-compromised", "--root", town.stick, "--yes", fails="Stop the core first")
    town.core("keys", "core-compromised", "--root", town.stick, typed="n\n", fails="nothing was changed")
    assert _good(town, token)
    said = town.core("keys", "core-compromised", "--root", town.stick, typed="y\n")
    assert "1 tokens revoked" in said
    assert "1 enrolment codes ended" in said
    assert "0 users need a new password" in said
    assert "the audit log holds" in said
    _shut_out(town, ring, token, codes)
    assert not town.shown()["root_is_here"]


def test_a_compromised_core_with_its_root_offline(town: Town) -> None:
    ring = town.start_keys()
    town.offline.mkdir()
    town.core("keys", "take-root-away", town.offline)
    codes = town.in_store(lambda db: _devices(db, ring, NAMES[:1]))
    token = town.in_store(_token)
    town.core("keys", "core-compromised", "--request", town.stick / "request", "--yes")
    assert _good(town, token)
    fingerprint = town.fingerprint(town.stick / "request")
    signing = ("keys", "sign", town.stick / "request", "--root", town.offline, "--out", town.stick / "grant")
    said = town.run(*signing, "--fingerprint", fingerprint, "--revoke-others")
    assert ring.order_key.key_id.hex() in said
    for _ in range(2):  # and again, as after a crash
        town.core("keys", "core-compromised", "--grant", town.stick / "grant", "--yes")
    _shut_out(town, ring, token, codes)


def test_a_grant_that_leaves_an_old_key_good_is_not_enough(town: Town) -> None:
    ring = town.start_keys()
    town.offline.mkdir()
    town.core("keys", "take-root-away", town.offline)
    town.core("keys", "request", "--out", town.stick / "request")
    fingerprint = ("--fingerprint", town.fingerprint(town.stick / "request"))
    town.run(
        "keys", "sign", town.stick / "request", "--root", town.offline, "--out", town.stick / "grant", *fingerprint
    )
    town.core("keys", "core-compromised", "--grant", town.stick / "grant", "--yes", fails=r"leaves .* good")
    assert town.shown()["version"] == 1
    assert _now_ring(town).order_key.seed == ring.order_key.seed


def test_a_new_machine_in_place_of_a_compromised_one_believes_no_root_unseen(town: Town) -> None:
    town.run("keys", "create-root", town.offline)
    town.data.mkdir()
    town.core("keys", "core-compromised", "--request", town.stick / "request", "--yes")
    fingerprint = ("--fingerprint", town.fingerprint(town.stick / "request"))
    town.run(
        "keys", "sign", town.stick / "request", "--root", town.offline, "--out", town.stick / "grant", *fingerprint
    )
    arguments = ("keys", "core-compromised", "--grant", town.stick / "grant", "--yes")
    town.core(*arguments, "--root-fingerprint", "AAAAA", fails="fingerprints differ")
    assert town.shown()["version"] is None
    town.core(*arguments, "--root-fingerprint", town.fingerprint(town.offline / "root.pub"))
    assert town.shown()["version"] == 1


def test_an_audit_log_that_was_changed_is_told_and_the_rest_is_done(town: Town) -> None:
    ring = town.start_keys()
    codes = town.in_store(lambda db: _devices(db, ring, NAMES[:1]))
    token = town.in_store(_token)

    async def falsify(db: Database) -> None:
        async with db.write() as connection:
            await connection.execute(text("UPDATE audit SET entry = replace(entry, 'Phù', 'An') WHERE seq = 1"))

    town.in_store(falsify)
    result = town.result("keys", "core-compromised", "--yes", "--data-dir", str(town.data))
    assert isinstance(result.exception, AuditError)
    assert "THE AUDIT LOG WAS CHANGED" in result.output
    _shut_out(town, ring, token, codes)


def test_all_tokens_are_revoked_from_the_shell(town: Town) -> None:
    town.start_keys()
    town.core("tokens", "revoke-all", "--yes", fails="no store")
    tokens = [town.in_store(_token) for _ in range(3)]
    town.core("tokens", "revoke-all", typed="n\n", fails="nothing was changed")
    assert all(_good(town, token) for token in tokens)
    assert "3 tokens revoked" in town.core("tokens", "revoke-all", "--yes")
    assert not any(_good(town, token) for token in tokens)
    admin = (town.data / "admin.token").read_text().strip()
    assert (town.data / "admin.token").stat().st_mode & 0o777 == 0o600
    assert _good(town, admin)
    town.core("tokens", "revoke-all", "--yes")
    assert not _good(town, admin), "the last administrator's token too"


# --- practice -------------------------------------------------------------------------------------------------


def test_the_drill_comes_out_right(town: Town) -> None:
    said = town.run("keys", "drill")
    assert said.count("✓") == 7
    assert "✗" not in said


def test_the_drill_would_notice(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyRing, "revoke", lambda *_: None)
    result = town.result("keys", "drill")
    assert result.exit_code == 1
    assert "✗ loa từ chối khóa đã thu hồi" in result.output
