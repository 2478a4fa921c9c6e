"""A link that comes to a process without the core: its messages are handed on, one at a time, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from loa.codecs.link_wire import MAX_MESSAGE_BYTES, SUBPROTOCOL
from loa.control_api.link_socket import CLOSE_TIMEOUT_S, HEARTBEAT_S, MAX_LINKS, make_socket
from loa.control_api.places import place
from loa.control_api.requests import services

WRITE_TIMEOUT_S = 10.0
"""An end that takes nothing for so long is taken for gone."""

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def relay(
    request: web.Request, session: aiohttp.ClientSession, core: URL, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """Serve a link by the core's `/link`, which is at `core`.

    Problem 400 `subprotocol`, 503 `busy`; aiohttp.ClientError when the core is not there or takes no more links.
    """
    socket = make_socket(request)
    with place(request, "links", MAX_LINKS):
        async with session.ws_connect(
            core,
            protocols=(SUBPROTOCOL,),
            headers=headers,
            heartbeat=HEARTBEAT_S,
            max_msg_size=MAX_MESSAGE_BYTES,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
        ) as at_core:
            await socket.prepare(request)
            work: tuple[Coroutine[Any, Any, object], ...] = (
                _hand_on(socket, at_core),
                _hand_on(at_core, socket),
                services(request).closing.wait(),
            )
            tasks = [asyncio.create_task(each) for each in work]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(TimeoutError, ConnectionError, RuntimeError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await socket.close(code=at_core.close_code or 1001)
    return socket


async def _hand_on(source: Socket, sink: Socket) -> None:
    """Until one of the two ends."""
    with suppress(TimeoutError, ConnectionError, RuntimeError):
        while (message := await source.receive()).type in (WSMsgType.BINARY, WSMsgType.TEXT):
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                if message.type is WSMsgType.BINARY:
                    await sink.send_bytes(message.data)
                else:
                    await sink.send_str(message.data)
