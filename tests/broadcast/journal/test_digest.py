"""The daily digest: written once a day of people's, by virtual time, and against it shows what the log has lost."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update
from structlog.testing import capture_logs

from loa.broadcast.journal import journal
from loa.broadcast.journal.act import system
from loa.broadcast.journal.chain import Link
from loa.broadcast.journal.digest import Digest, due_day, next_look_ms
from loa.broadcast.journal.digest_folder import DigestFolder
from loa.broadcast.journal.digest_keeper import DigestKeeper
from loa.broadcast.store.database import Database
from loa.broadcast.store.tables import audit
from loa.codecs.signed import SigningKey
from loa.errors import AuditError, AuthorityError, LoaError, StoreError, WireError
from loa.timing.clock import SystemClock
from loa.timing.local_days import day_begins_ms, day_of

KEY = SigningKey(bytes(range(32)))
DAY = date(2026, 11, 25)
NOON_MS = day_begins_ms(DAY) + 12 * 3_600_000
HOUR_MS = 3_600_000

_digests = st.builds(
    Digest,
    day=st.dates(date(1970, 1, 2), date(2999, 1, 1)),
    seq=st.integers(1, (1 << 63) - 1),
    hash=st.binary(min_size=32, max_size=32),
    entries=st.integers(0, (1 << 63) - 1),
    made_ms=st.integers(0, 1 << 50),
    key=st.just(KEY.public_key),
)


@given(_digests)
def test_a_digest_is_read_as_it_was_signed(digest: Digest) -> None:
    assert Digest.open(digest.seal(KEY)) == digest


@given(_digests, st.data())
def test_a_digest_that_was_changed_is_refused(digest: Digest, data: st.DataObject) -> None:
    said = json.loads(digest.seal(KEY))
    name = data.draw(st.sampled_from(sorted(said)))
    other = json.loads(data.draw(_digests).seal(SigningKey(bytes(32))))
    if said[name] == other[name]:
        return
    with pytest.raises(AuthorityError):
        Digest.open(json.dumps(said | {name: other[name]}).encode())


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(LoaError):
        Digest.open(data)


@pytest.mark.parametrize(
    "change",
    [{"seq": 0}, {"seq": True}, {"seq": 1.0}, {"hash": "00"}, {"day": "2026-13-01"}, {"more": 1}, {"key": 7}],
)
def test_fields_of_another_form_are_refused(change: dict[str, object]) -> None:
    said = json.loads(Digest(DAY, 1, bytes(32), 1, 0).seal(KEY))
    with pytest.raises(WireError):
        Digest.open(json.dumps(said | change).encode())


def test_it_contradicts_another_entry_and_none() -> None:
    digest = Digest(DAY, 7, b"h" * 32, 1, 0)
    assert not digest.contradicts(Link(7, "{}", b"h" * 32))
    assert digest.contradicts(Link(7, "{}", b"x" * 32))
    assert digest.contradicts(None)


@given(st.integers(0, 4_000_000_000_000), st.none() | st.integers(-3, 3))
def test_a_digest_is_due_when_a_day_is_over_and_there_is_none(now_ms: int, ago: int | None) -> None:
    yesterday = day_of(now_ms) - timedelta(days=1)
    newest = None if ago is None else day_of(now_ms) - timedelta(days=ago)
    due = due_day(newest, now_ms)
    assert due == (yesterday if newest is None or newest < yesterday else None)
    assert due is None or due_day(due, now_ms) is None
    look_ms = next_look_ms(now_ms)
    assert now_ms < look_ms <= now_ms + 24 * HOUR_MS
    assert due_day(yesterday, look_ms - 1) is None
    assert due_day(yesterday, look_ms) == day_of(now_ms)


class _Clock(SystemClock):
    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def utc_ns(self) -> int:
        return self.now_ms * 1_000_000


@pytest.fixture
def clock() -> _Clock:
    return _Clock(NOON_MS)


@pytest.fixture
def folder(tmp_path: Path) -> DigestFolder:
    return DigestFolder(tmp_path / "data" / "audit")


@pytest.fixture
def keeper(db: Database, folder: DigestFolder, clock: _Clock) -> DigestKeeper:
    return DigestKeeper(db, folder, lambda: KEY, clock)


async def _do(db: Database, times: int, now_ms: int) -> None:
    for number in range(times):
        async with db.write() as connection:
            await journal.record(connection, system(now_ms), "thing.do", f"thing:{number}")


async def test_every_day_that_is_over_has_one_digest(
    db: Database, folder: DigestFolder, clock: _Clock, keeper: DigestKeeper
) -> None:
    assert not await keeper.keep(), "nothing was ever written"
    await _do(db, 3, clock.now_ms)
    assert not await keeper.keep(), "on no day that is over was there a log"
    for _ in range(30):
        clock.now_ms += HOUR_MS
        await keeper.keep()
    await _do(db, 2, clock.now_ms)
    clock.now_ms += 5 * 24 * HOUR_MS  # nobody was there
    assert await keeper.keep()
    assert not await keeper.keep()
    found = [(digest.day, digest.seq, digest.entries) for digest in folder.all()]
    assert found == [
        (DAY, 3, 3),
        (DAY + timedelta(days=5), 5, 2),
    ]
    assert await keeper.check() == []
    assert {digest.key for digest in folder.all()} == {KEY.public_key}
    assert [each.stat().st_mode & 0o777 for each in folder.path.iterdir()] == [0o600] * 2


async def test_what_is_cut_off_or_changed_is_told_loudly(
    db: Database, folder: DigestFolder, clock: _Clock, keeper: DigestKeeper
) -> None:
    for _ in range(3):
        await _do(db, 2, clock.now_ms)
        clock.now_ms += 24 * HOUR_MS
        await keeper.keep()
    async with db.write() as connection:
        await connection.execute(delete(audit).where(audit.c.seq > 5))
        await connection.execute(update(audit).where(audit.c.seq == 4).values(hash=bytes(32)))
    with capture_logs() as logs:
        faults = await keeper.check()
    assert faults == [
        f"entry 4 of the audit log is another one, says the digest of {DAY + timedelta(days=1)}",
        f"entry 6 of the audit log is not there any more, says the digest of {DAY + timedelta(days=2)}",
    ]
    assert [entry["log_level"] for entry in logs] == ["error", "error"]
    assert keeper.contradicted == 2
    # What comes after is written down too, and makes the old ones no truer.
    clock.now_ms += 24 * HOUR_MS
    assert await keeper.keep()
    assert await keeper.check() == faults


async def test_a_digest_is_never_written_twice(folder: DigestFolder) -> None:
    folder.write(DAY, b"one")
    with pytest.raises(StoreError, match="written once"):
        folder.write(DAY, b"two")


async def test_files_that_are_none_are_told_or_left_alone(
    db: Database, folder: DigestFolder, clock: _Clock, keeper: DigestKeeper
) -> None:
    assert folder.days() == []
    await _do(db, 1, clock.now_ms - 24 * HOUR_MS)
    assert await keeper.keep()
    day = folder.days()[0]
    for name in ("notes.txt", "2026-02-31.digest", "2026-11-25.digest.new"):
        (folder.path / name).write_bytes(b"x")
    assert folder.days() == [day]
    (folder.path / "2020-01-01.digest").write_bytes((folder.path / f"{day}.digest").read_bytes())
    (folder.path / "2020-01-02.digest").write_bytes(b"{}")
    with pytest.raises(AuditError, match="is the digest of"):
        folder.read(date(2020, 1, 1))
    assert [fault.partition(" ")[0].rpartition("/")[2] for fault in await keeper.check()] == [
        "2020-01-01.digest",
        "2020-01-02.digest",
    ]


async def test_a_clock_that_was_set_back_makes_no_digest(
    db: Database, folder: DigestFolder, clock: _Clock, keeper: DigestKeeper
) -> None:
    await _do(db, 1, clock.now_ms - 24 * HOUR_MS)
    assert await keeper.keep()
    clock.now_ms -= 10 * 24 * HOUR_MS
    assert not await keeper.keep()
    assert len(folder.days()) == 1
