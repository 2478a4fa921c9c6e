"""The connection that a block of a shared transaction is given: its own for as long as the block lasts.

Who is cancelled while the database works must not take the transaction of the others with it. So each call runs in
a task of its own and to its end, whatever becomes of who waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from loa.errors import StoreError

_T = TypeVar("_T")


class LentConnection(AsyncConnection):
    """`whole`, but for what would end its transaction. StoreError once it was taken back.

    `failed`: a call has raised. PostgreSQL does nothing more in a transaction then, and would "commit" it by
    undoing it: what such a block did cannot be kept, even if it goes on as if nothing had been.
    """

    def __init__(self, whole: AsyncConnection) -> None:
        super().__init__(whole.engine, whole.sync_connection)
        self._calls: set[asyncio.Task[Any]] = set()
        self._over = False
        self.failed = False

    async def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            await self._quiet()  # of a call whose caller was cancelled
            if self._over:
                raise StoreError("this write is over: its connection is another's")
            call = asyncio.create_task(work)
        except BaseException:
            work.close()
            raise
        self._calls.add(call)
        call.add_done_callback(self._ended)
        return await asyncio.shield(call)

    def _ended(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        if call.cancelled() or call.exception() is not None:
            self.failed = True

    async def _quiet(self) -> None:
        while self._calls:
            await asyncio.wait(set(self._calls))

    async def take_back(self) -> None:
        """Let nothing more begin, and wait for what was begun."""
        self._over = True
        await self._quiet()

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call(super().execute(*args, **kwargs))

    async def exec_driver_sql(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call(super().exec_driver_sql(*args, **kwargs))

    async def run_sync(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call(super().run_sync(*args, **kwargs))

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise RuntimeError("the transaction is shared: a block neither ends it nor streams from it")

    begin = begin_nested = stream = stream_scalars = _refuse
    commit = rollback = close = aclose = invalidate = execution_options = get_raw_connection = _refuse
