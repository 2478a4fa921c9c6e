"""Writers that share a transaction, on each database: together durable, apart in failure, and never in each other's
way, wherever they raise or are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, text

from loa.broadcast.store import group_commit
from loa.broadcast.store.database import Database
from loa.broadcast.store.tables import order_sequence
from loa.errors import Conflict, StoreError
from tests.broadcast.conftest import NewStore
from tests.broadcast.store.counting import SIGNER, Held, bump, count_up, counts, waiting


@pytest.fixture(autouse=True)
def _groups_of_any_age(monkeypatch: pytest.MonkeyPatch) -> None:
    # Who is in which group must not hang on how fast the machine is.
    monkeypatch.setattr(group_commit, "GROUP_MOST_S", 1e9)


@pytest.fixture
def commits(db: Database) -> list[int]:
    """One entry for each commit."""
    numbers, seen = count(1), list[int]()
    db.after_commit.append(lambda: seen.append(next(numbers)))
    return seen


def _signer(n: int) -> bytes:
    return b"%08d" % n


async def test_those_who_wait_share_one_commit(db: Database, commits: list[int]) -> None:
    async with Held(db):
        tasks = await waiting(*(bump(db) for _ in range(20)))
    assert await asyncio.gather(*tasks) == list(range(1, 21))
    assert commits == [1]


async def test_nobody_returns_before_the_shared_commit(db: Database) -> None:
    first = await Held(db, b"first   ").__aenter__()
    second = Held(db, b"second  ")
    await waiting()
    first.let_go()
    async with second:
        assert not first.task.done()
        assert await counts(db) == {}
        assert not first.task.done()
    await first.task
    assert await counts(db) == {b"first   ": 1, b"second  ": 1}


async def test_a_group_has_a_bounds_size(db: Database, commits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "GROUP_MOST", 3)
    async with Held(db):
        tasks = await waiting(*(bump(db) for _ in range(6)))
    await asyncio.gather(*tasks)
    assert len(commits) == 3


async def test_a_group_that_is_old_takes_no_more(
    db: Database, commits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GROUP_MOST_S", 0)
    async with Held(db):
        tasks = await waiting(*(bump(db) for _ in range(6)))
    await asyncio.gather(*tasks)
    assert len(commits) == 7


async def test_who_writes_alone_shares_with_nobody(db: Database, commits: list[int]) -> None:
    async def alone() -> list[int]:
        async with db.write(alone=True) as connection:
            await count_up(connection)
            return list(commits)

    async with Held(db):
        tasks = await waiting(bump(db), alone(), bump(db), bump(db))
    assert await tasks[1] == [1]
    await asyncio.gather(*tasks)
    assert commits == [1, 2, 3]
    assert (await counts(db))[SIGNER] == 4


async def _urgent(db: Database, order: list[str], name: str) -> None:
    async with db.write(urgent=True) as connection:
        await count_up(connection)
        order.append(name)


async def _ordinary(db: Database, order: list[str], name: str, *, alone: bool = False) -> None:
    async with db.write(alone=alone) as connection:
        await count_up(connection)
        order.append(name)


async def test_what_is_urgent_goes_before_all_that_waits_and_waits_for_none_of_it(
    db: Database, commits: list[int]
) -> None:
    order: list[str] = []
    async with Held(db) as held:
        ordinary = await waiting(*(_ordinary(db, order, f"other {n}") for n in range(3)))
        urgent = await waiting(*(_urgent(db, order, f"urgent {n}") for n in range(2)))
        held.let_go()
        await asyncio.gather(*urgent)
        assert order == ["urgent 0", "urgent 1"]
        assert commits == [1]
    await asyncio.gather(*ordinary)
    assert order == ["urgent 0", "urgent 1", "other 0", "other 1", "other 2"]
    assert commits == [1, 2]


async def test_the_urgent_starve_nobody(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "URGENT_IN_A_ROW", 2)
    order: list[str] = []
    async with Held(db):
        tasks = await waiting(
            *(_ordinary(db, order, "other", alone=n == 0) for n in range(2)),
            *(_urgent(db, order, "urgent") for _ in range(6)),
        )
    await asyncio.gather(*tasks)
    assert order == ["urgent", "urgent", "other"] * 2 + ["urgent", "urgent"]


async def test_an_urgent_one_that_fails_is_undone_alone(db: Database) -> None:
    async def fails() -> None:
        async with db.write(urgent=True) as connection:
            await count_up(connection, b"undone  ")
            raise LookupError("half way")

    async with Held(db):
        tasks = await waiting(bump(db), fails(), bump(db))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, LookupError, int]
    assert (await counts(db))[SIGNER] == 2


async def _raises(db: Database) -> None:
    async with db.write() as connection:
        await count_up(connection, b"undone  ")
        raise LookupError("half way")


async def _breaks_a_constraint(db: Database) -> None:
    async with db.write() as connection:
        await count_up(connection, b"undone  ")
        await connection.execute(order_sequence.insert().values(signer=b"zero    ", last_seq=0))


async def _asks_nonsense(db: Database) -> None:
    async with db.write() as connection:
        await count_up(connection, b"undone  ")
        await connection.execute(text("SELECT nothing FROM nowhere"))


async def _goes_on_after_an_error(db: Database) -> None:
    async with db.write() as connection:
        await count_up(connection, b"undone  ")
        try:
            await connection.execute(order_sequence.insert().values(signer=b"zero    ", last_seq=0))
        except Exception:
            return


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        (_raises, LookupError),
        (_breaks_a_constraint, Conflict),
        (_asks_nonsense, StoreError),
        (_goes_on_after_an_error, StoreError),
    ],
)
async def test_a_block_that_fails_is_undone_alone(
    db: Database, commits: list[int], fails: Callable[[Database], Coroutine[Any, Any, None]], error: type[Exception]
) -> None:
    async with Held(db):
        tasks = await waiting(bump(db), fails(db), fails(db), bump(db), fails(db))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, error, error, int, error]
    assert await counts(db) == {b"held    ": 1, SIGNER: 2}
    assert commits == [1]


async def test_a_first_block_that_fails_is_undone_and_those_behind_it_are_not(
    db: Database, commits: list[int]
) -> None:
    async with Held(db) as held:
        tasks = await waiting(bump(db), bump(db))
        held.task.cancel()
    assert await asyncio.gather(*tasks) == [1, 2]
    assert await counts(db) == {SIGNER: 2}
    assert commits == [1]


async def test_what_is_all_undone_is_no_commit(db: Database, commits: list[int]) -> None:
    await asyncio.gather(*(_raises(db) for _ in range(5)), return_exceptions=True)
    assert commits == []


async def test_a_commit_that_fails_fails_for_all_of_the_group_and_for_nobody_else(
    db: Database, commits: list[int]
) -> None:
    async def end_the_transaction() -> None:
        async with db.write() as connection:
            await count_up(connection)
            await connection.execute(text("ROLLBACK"))

    async with Held(db) as held:
        tasks = await waiting(bump(db), bump(db), end_the_transaction(), bump(db))
    outcomes = await asyncio.gather(held.task, *tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError, StoreError, StoreError, int]
    assert len({id(outcome) for outcome in outcomes}) == len(outcomes)
    assert await counts(db) == {SIGNER: 1}
    assert commits == [1]


async def test_a_block_that_hangs_is_undone_and_those_behind_it_are_not(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "BLOCK_MOST_S", 0.5)
    async with Held(db) as held:
        monkeypatch.setattr(group_commit, "BLOCK_MOST_S", 60)
        tasks = await waiting(bump(db), bump(db))
        assert await asyncio.gather(*tasks) == [1, 2]
    with pytest.raises(StoreError, match="took longer"):
        await held.task
    assert await counts(db) == {SIGNER: 2}


async def test_who_waits_too_long_is_told_so(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Held(db):
        monkeypatch.setattr(group_commit, "WAIT_MOST_S", 0.01)
        with pytest.raises(StoreError, match="busy"):
            await bump(db)
        monkeypatch.setattr(group_commit, "WAIT_MOST_S", 60)
        tasks = await waiting(bump(db))
    assert await tasks[0] == 1


async def test_a_crowd_is_told_so_at_once(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "WAITING_MOST", 2)
    async with Held(db):
        tasks = await waiting(bump(db), bump(db))
        with pytest.raises(StoreError, match="overloaded"):
            await bump(db)
    assert await asyncio.gather(*tasks) == [1, 2]


async def test_a_connection_is_good_for_its_block_only_and_not_to_end_the_transaction(db: Database) -> None:
    async with db.write() as connection:
        kept = connection
        await count_up(connection)
        for end in (connection.commit, connection.rollback, connection.close, connection.begin_nested):
            with pytest.raises(RuntimeError, match="shared"):
                end()
    with pytest.raises(StoreError, match="over"):
        await kept.execute(text("SELECT 1"))
    assert await counts(db) == {SIGNER: 1}


async def test_what_a_block_leaves_running_ends_before_the_next_begins(db: Database) -> None:
    async def leaves_a_statement() -> asyncio.Task[Any]:
        async with db.write() as connection:
            left = asyncio.create_task(count_up(connection))
            await asyncio.sleep(0)
            return left

    async with Held(db):
        tasks = await waiting(leaves_a_statement(), bump(db))
    left = await tasks[0]
    with pytest.raises(StoreError, match="over"):  # it had more to do than what it had begun
        await left
    assert await tasks[1] == 1


async def test_what_a_block_asks_at_once_is_done_one_after_the_other(db: Database) -> None:
    log: list[str] = []

    def work(connection: Connection) -> None:
        log.append("begins")
        connection.execute(text("SELECT 1"))
        log.append("ends")

    async with db.write() as lent:
        await asyncio.gather(*(lent.run_sync(work) for _ in range(3)))
    assert log == ["begins", "ends"] * 3


async def test_after_a_commit_those_who_want_to_know_are_told_before_its_writers_go_on(db: Database) -> None:
    told: list[str] = []
    db.after_commit.append(lambda: told.append("committed"))

    async def write() -> None:
        await bump(db)
        told.append("went on")

    await asyncio.gather(write(), write())
    assert told[0] == "committed"
    assert told.count("went on") == 2


async def test_a_quiet_commit_is_told_to_nobody_unless_another_writer_shares_it(
    db: Database, commits: list[int]
) -> None:
    async def write(*, quiet: bool) -> None:
        async with db.write(quiet=quiet) as connection:
            await connection.execute(text("SELECT 1"))

    await asyncio.gather(write(quiet=True), write(quiet=True))
    assert commits == []
    await asyncio.gather(write(quiet=True), write(quiet=False))
    assert len(commits) == 1


async def test_who_is_told_and_raises_breaks_nothing(
    db: Database, commits: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise LookupError("nobody there")

    db.after_commit.insert(0, fails)
    assert await bump(db) == 1
    assert commits == [1]
    assert "nobody there" in capsys.readouterr().out


async def test_close_waits_for_those_who_write_and_takes_no_more(db_url: str) -> None:
    db = await Database.open(db_url)
    async with Held(db):
        tasks = await waiting(bump(db), bump(db))
        closing = asyncio.create_task(db.close())
        await asyncio.sleep(0)
        with pytest.raises(StoreError, match="closed"):
            await bump(db)
    await closing
    assert await asyncio.gather(*tasks) == [1, 2]
    db = await Database.open(db_url)
    assert (await counts(db))[SIGNER] == 2
    await db.close()


class Fate(Enum):
    """What becomes of a writer."""

    KEPT = auto()
    RAISES = auto()
    BREAKS_A_CONSTRAINT = auto()
    GOES_ON_AFTER_AN_ERROR = auto()
    CANCELLED_WAITING = auto()
    CANCELLED_IN_ITS_BLOCK = auto()
    CANCELLED_IN_A_STATEMENT = auto()
    CANCELLED_IN_A_STATEMENT_AND_LINGERS = auto()
    CANCELLED_WAITING_FOR_THE_COMMIT = auto()


TOLD = {
    Fate.KEPT: type(None),
    Fate.RAISES: LookupError,
    Fate.BREAKS_A_CONSTRAINT: Conflict,
    Fate.GOES_ON_AFTER_AN_ERROR: StoreError,
}
DURABLE = {Fate.KEPT, Fate.CANCELLED_WAITING_FOR_THE_COMMIT}


def _soon(call: Callable[[], object], turns: int) -> None:
    """Call it after so many turns of the loop."""
    loop = asyncio.get_running_loop()
    loop.call_soon(call if turns == 0 else lambda: _soon(call, turns - 1))


class Way(Enum):
    """How a writer asks for its turn."""

    SHARED = auto()
    ALONE = auto()
    URGENT = auto()


Life = tuple[Fate, Way, int]


async def _live(db: Database, n: int, fate: Fate, *, way: Way, turns: int) -> None:
    """One writer: it counts up what all count, and puts its own number beside it."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        await asyncio.sleep(0)
    if fate is Fate.CANCELLED_WAITING:
        loop.call_soon(task.cancel)
    async with db.write(alone=way is Way.ALONE, urgent=way is Way.URGENT) as connection:
        await count_up(connection)
        match fate:
            case Fate.RAISES:
                raise LookupError("half way")
            case Fate.BREAKS_A_CONSTRAINT | Fate.GOES_ON_AFTER_AN_ERROR:
                try:
                    await connection.execute(order_sequence.insert().values(signer=_signer(n), last_seq=0))
                except Exception:
                    if fate is Fate.BREAKS_A_CONSTRAINT:
                        raise
            case Fate.CANCELLED_IN_ITS_BLOCK:
                loop.call_soon(task.cancel)
                await asyncio.Event().wait()
            case Fate.CANCELLED_IN_A_STATEMENT | Fate.CANCELLED_IN_A_STATEMENT_AND_LINGERS:
                _soon(task.cancel, turns)
                try:
                    await count_up(connection, _signer(n))
                    await asyncio.Event().wait()
                finally:
                    if fate is Fate.CANCELLED_IN_A_STATEMENT_AND_LINGERS:
                        await connection.execute(text("SELECT 1"))
        await connection.execute(order_sequence.insert().values(signer=_signer(n), last_seq=1))
        if fate is Fate.CANCELLED_WAITING_FOR_THE_COMMIT:
            loop.call_soon(task.cancel)


async def _outcome(task: asyncio.Task[None]) -> type:
    try:
        await task
    except asyncio.CancelledError:
        return asyncio.CancelledError
    except Exception as error:
        return type(error)
    return type(None)


LIVES = st.lists(
    st.tuples(st.sampled_from(Fate), st.sampled_from(Way), st.integers(0, 40)), min_size=1, max_size=12
)


@given(lives=st.lists(LIVES, min_size=8, max_size=8))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_becomes_of_each_writer_the_store_holds_what_it_was_told_and_no_more(
    new_store: NewStore, lives: list[list[Life]]
) -> None:
    async def run() -> None:
        async with new_store() as url:
            db = await Database.open(url)
            for crowd in lives:
                await _live_together(db, crowd)
            await db.close()

    asyncio.run(run())


async def _live_together(db: Database, crowd: list[Life]) -> None:
    tasks = [
        asyncio.create_task(_live(db, n, fate, way=way, turns=turns)) for n, (fate, way, turns) in enumerate(crowd)
    ]
    for (fate, _, _), task in zip(crowd, tasks, strict=True):
        assert await _outcome(task) is TOLD.get(fate, asyncio.CancelledError), fate
    # A writer behind them all: what a cancelled one left to its group is committed by then.
    async with db.write() as connection:
        await connection.execute(text("SELECT 1"))
    durable = {_signer(n): 1 for n, (fate, _, _) in enumerate(crowd) if fate in DURABLE}
    assert await counts(db) == durable | ({SIGNER: len(durable)} if durable else {})
    async with db.write() as connection:
        await connection.execute(delete(order_sequence))
