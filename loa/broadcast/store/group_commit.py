"""Writers that wait while one is writing share its transaction: one commit, and one wait for the disk, serves all.

A task leads each group. It begins the transaction, lends it to those who wait, one after the other, and commits
when nobody waits or the group is as large or as old as it may be. Each block but the first stands behind a
savepoint, so that one that raises is undone alone. Nobody returns before the commit; when it fails, it fails for
all of the group.

What is urgent has its turn before all that waits, and takes no other after it into the group: it waits for the one
block that is at work when it comes, and for the disk once. Of URGENT_IN_A_ROW turns the next is another's.

Who is cancelled while it waits for its turn or in its block has written nothing. A block that was left without an
error belongs to the group: who is cancelled while it waits for the commit is not told what became of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from loa.broadcast.store.engines import in_transaction, run_directly
from loa.broadcast.store.failures import told
from loa.broadcast.store.lent_connection import LentConnection
from loa.errors import StoreError

GROUP_MOST = 64
"""Blocks in a transaction. PostgreSQL keeps track of so many savepoints cheaply."""
GROUP_MOST_S = 0.05
"""No block begins in a transaction that is older: who came first has waited long enough."""
BLOCK_MOST_S = 30.0
"""A block that takes longer is undone, so that one that hangs does not stop all others for ever."""
WAIT_MOST_S = 45.0
"""Who has waited so long for its turn is told so."""
WAITING_MOST = 5_000
"""Who comes when so many wait, of the urgent or of the others, is told so at once."""
URGENT_IN_A_ROW = 8
"""After so many turns of the urgent it is the turn of one of the others, if one waits."""

log = structlog.get_logger("loa.store")


class _Writer:
    """One block: `turn` gives it a connection, `left` says whether to keep what it did, `done` how that ended.

    Nobody may be there any more to be told: then nothing is.
    """

    def __init__(self, *, alone: bool, urgent: bool, quiet: bool) -> None:
        loop = asyncio.get_running_loop()
        self.alone = alone
        self.urgent = urgent
        self.quiet = quiet
        self.turn: asyncio.Future[LentConnection | StoreError] = loop.create_future()
        self.left: asyncio.Future[bool] = loop.create_future()
        self.done: asyncio.Future[StoreError | None] = loop.create_future()

    def leave(self, *, keep: bool) -> None:
        if not self.left.done():
            self.left.set_result(keep)

    def refuse(self, why: StoreError) -> None:
        """Its turn never comes."""
        if not self.turn.done():
            self.turn.set_result(_again(why))

    def undo(self, why: StoreError) -> None:
        """It has had its turn for too long."""
        self.leave(keep=False)
        self.tell(why)

    def tell(self, failure: StoreError | None) -> None:
        """How it ended."""
        if not self.done.done():
            self.done.set_result(None if failure is None else _again(failure))


class _NothingToKeepError(Exception):
    """The first block of a group is undone, and with it the transaction."""


class _Queue:
    """Who waits for a turn: the urgent first, but not for ever."""

    def __init__(self) -> None:
        self._urgent: deque[_Writer] = deque()
        self._others: deque[_Writer] = deque()
        self._in_a_row = 0

    def __bool__(self) -> bool:
        return bool(self._urgent or self._others)

    @property
    def urgent(self) -> bool:
        """Whether the next turn is of one that is urgent."""
        return bool(self._drop_gone(self._urgent)) and not (
            self._in_a_row >= URGENT_IN_A_ROW and self._drop_gone(self._others)
        )

    def put(self, writer: _Writer) -> None:
        """Behind those of its kind; StoreError when they are too many."""
        line = self._urgent if writer.urgent else self._others
        if len(line) >= WAITING_MOST:
            raise StoreError(f"the store is overloaded: {WAITING_MOST} writers wait")
        line.append(writer)

    def put_back(self, writer: _Writer) -> None:
        """Before all of its kind: it has been taken, and has not had its turn."""
        (self._urgent if writer.urgent else self._others).appendleft(writer)

    def take(self, *, shared: bool) -> _Writer | None:
        """Whose turn it is, if anybody waits. `shared`: others have written before; None when it would be alone."""
        line = self._urgent if self.urgent else self._others
        if not self._drop_gone(line) or (shared and line[0].alone):
            return None
        writer = line.popleft()
        self._in_a_row = self._in_a_row + 1 if writer.urgent else 0
        return writer

    def refuse_all(self, why: StoreError) -> None:
        """Nobody's turn comes."""
        for line in (self._urgent, self._others):
            while line:
                line.popleft().refuse(why)

    @staticmethod
    def _drop_gone(line: deque[_Writer]) -> deque[_Writer]:
        while line and line[0].turn.done():
            line.popleft()
        return line


class GroupCommit:
    """All writers of one process on one database. `after_commit`: called after each durable commit of
    anything that is not `quiet`."""

    def __init__(self, engine: AsyncEngine, after_commit: list[Callable[[], None]]) -> None:
        self._engine = engine
        self._after_commit = after_commit
        self._waiting = _Queue()
        self._leading: asyncio.Task[None] | None = None
        self._closed = False

    @asynccontextmanager
    async def write(
        self, *, alone: bool = False, urgent: bool = False, quiet: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is durable when the block is left, and undone when it raises."""
        writer = _Writer(alone=alone, urgent=urgent, quiet=quiet)
        self._enter(writer)
        try:
            yield await self._turn_of(writer)
        except BaseException:
            writer.leave(keep=False)
            raise
        writer.leave(keep=True)
        failure = await writer.done
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Take no more writers, and wait for those who came."""
        self._closed = True
        while self._leading is not None:
            await asyncio.wait([self._leading])

    def _enter(self, writer: _Writer) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        self._waiting.put(writer)
        self._lead()

    async def _turn_of(self, writer: _Writer) -> LentConnection:
        busy = StoreError(f"the store has been busy for {WAIT_MOST_S:g} s")
        timer = asyncio.get_running_loop().call_later(WAIT_MOST_S, writer.refuse, busy)
        try:
            turn = await writer.turn
        finally:
            timer.cancel()
        if isinstance(turn, StoreError):
            raise turn
        return turn

    def _lead(self) -> None:
        if self._leading is None and self._waiting:
            self._leading = asyncio.create_task(self._lead_groups())
            self._leading.add_done_callback(self._led)

    async def _lead_groups(self) -> None:
        while self._waiting:
            await self._group()

    def _led(self, leading: asyncio.Task[None]) -> None:
        self._leading = None
        if leading.cancelled():
            self._waiting.refuse_all(StoreError("the store is closing"))
        elif (error := leading.exception()) is not None:
            log.error("a group of writers failed", error=repr(error))
        self._lead()

    async def _group(self) -> None:
        """One transaction."""
        kept: list[_Writer] = []
        begun = False
        failure: StoreError | None = StoreError("the store failed")
        try:
            async with self._engine.connect() as connection, connection.begin():
                begun = True
                await self._lend_to_all(connection, kept)
            failure = None
        except _NothingToKeepError:
            failure = None
        except (SQLAlchemyError, OSError) as error:
            failure = told(error)
        except StoreError as error:
            failure = error
        finally:
            for writer in kept:
                writer.tell(failure)
            if failure is not None and not begun:
                # It would be the same for each of them, and each would wait for it again.
                self._waiting.refuse_all(failure)
        if failure is None and not all(writer.quiet for writer in kept):
            self._tell_committed()

    async def _lend_to_all(self, connection: AsyncConnection, kept: list[_Writer]) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + GROUP_MOST_S
        marked = 0  # how many were kept when the last savepoint was set
        while (writer := self._waiting.take(shared=bool(kept))) is not None:
            if kept and marked < len(kept):
                try:
                    # The ones before stay: they end with the transaction.
                    await run_directly(connection, "SAVEPOINT block")
                except BaseException:
                    self._waiting.put_back(writer)  # the next group is for it
                    raise
                marked = len(kept)
            if await self._lend(connection, writer):
                kept.append(writer)
            elif kept:
                await run_directly(connection, "ROLLBACK TO SAVEPOINT block")
            else:
                raise _NothingToKeepError
            if writer.alone or len(kept) >= GROUP_MOST or loop.time() >= ends:
                return
            if kept[-1].urgent and not self._waiting.urgent:
                return

    async def _lend(self, connection: AsyncConnection, writer: _Writer) -> bool:
        """Give `writer` its turn; whether what it did is to be kept."""
        lent = LentConnection(connection)
        writer.turn.set_result(lent)
        late = StoreError(f"the write took longer than {BLOCK_MOST_S:g} s and is undone")
        timer = asyncio.get_running_loop().call_later(BLOCK_MOST_S, writer.undo, late)
        try:
            keep = await writer.left
        except BaseException:
            writer.tell(StoreError("the store is closing"))
            raise
        finally:
            timer.cancel()
            await lent.take_back()
        if not keep:
            return False
        if lent.failed:
            writer.tell(StoreError("the store failed: a statement of this write did, so that none of it is kept"))
            return False
        if not in_transaction(connection):
            failure = StoreError("the store failed: the transaction was ended before its time")
            writer.tell(failure)
            raise failure
        return True

    def _tell_committed(self) -> None:
        for callback in tuple(self._after_commit):
            try:
                callback()
            except Exception:
                log.exception("what is called after a commit failed")


def _again(failure: StoreError) -> StoreError:
    """The same for another: an exception that is raised twice tells of two places at once."""
    return StoreError(str(failure))
