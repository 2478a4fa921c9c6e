"""Who connects when: as many handshakes at once as a core takes, and no more."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from urllib.parse import urlsplit

from loa.app.load.link import Link
from loa.app.load.member import Member, Standing
from loa.app.load.plan import loopback_address
from loa.edge.speaker.link_client import link_url

CONNECT_S = 10.0


class Joiner:
    """Connects members in the order in which they ask."""

    def __init__(self, core_url: str, *, at_once: int, from_loopback: bool) -> None:
        """`from_loopback`: each has an address of 127.0.0.0/8 of its own, as a device has."""
        self._url = urlsplit(link_url(core_url))
        self._tls = ssl.create_default_context() if self._url.scheme == "wss" else None
        # The name may stand for ::1 too, from where no address of 127.0.0.0/8 can come.
        named = self._url.hostname == "localhost" and self._tls is None
        self._host = "127.0.0.1" if named else self._url.hostname or ""
        self._from_loopback = from_loopback and ":" not in self._host
        self._at_once = at_once
        self._waiting: deque[Member] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._under_way = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._under_way

    def ask(self, member: Member) -> None:
        """Connect it when it is its turn."""
        self._waiting.append(member)
        self._pump()

    def over(self) -> None:
        """A handshake has come to its end, good or bad."""
        self._under_way -= 1
        asyncio.get_running_loop().call_soon(self._pump)

    def forget(self) -> None:
        """Connect nobody who still waits."""
        self._waiting.clear()

    def _pump(self) -> None:
        while self._waiting and self._under_way < self._at_once:
            member = self._waiting.popleft()
            if not member.wanted or member.standing is not Standing.AWAY:
                continue
            self._under_way += 1
            member.connecting()
            connecting = asyncio.get_running_loop().create_task(self._connect(member))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, member: Member) -> None:
        url = self._url
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: Link(url.netloc, url.path, member),
                    self._host,
                    url.port or (443 if self._tls else 80),
                    ssl=self._tls,
                    local_addr=(loopback_address(member.number), 0) if self._from_loopback else None,
                )
        except (OSError, TimeoutError) as error:
            member.link_lost(None, f"cannot connect: {type(error).__name__}")
