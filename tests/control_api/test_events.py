"""Server-sent events: who sees what, and that nobody who comes back misses anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from loa.app.api_client import ApiClient
from loa.control_api.routes import events
from loa.control_api.routes.events import SEEN_WITH
from tests import sounds
from tests.control_api.officers import city_with_officers
from tests.control_api.test_api import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Sent:
    """One frame of the stream."""

    kind: str
    id: int
    data: Any


class Watcher:
    """Reads a stream of events as a browser would."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> Sent:
        """The next frame that is not a comment."""
        while True:
            fields: dict[str, str] = {}
            async with asyncio.timeout(20):
                while line := (await self._answer.content.readline()).decode().rstrip("\n"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
            if "event" in fields:
                return Sent(fields["event"], int(fields["id"]), json.loads(fields["data"]))

    async def about(self, subject: str) -> Sent:
        """The next event about this thing."""
        while (sent := await self.next()).data.get("subject") != subject:
            pass
        return sent


@asynccontextmanager
async def watching(api: ApiClient, after: int | None = None, header: str | None = None) -> AsyncIterator[Watcher]:
    query = "" if after is None else f"?after={after}"
    headers = {} if header is None else {"Last-Event-ID": header}
    async with api._session.get(f"{api.url}/api/v1/events{query}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        yield Watcher(answer)


async def test_a_change_is_told_and_a_watcher_that_comes_back_misses_nothing(api: ApiClient) -> None:
    async with watching(api) as watcher:
        hello = await watcher.next()
        assert hello.kind == "hello"
        first = await api.create_area("Xã một", "commune")
        sent = await watcher.about(f"area:{first}")
        assert (sent.kind, sent.data["data"]["name"]) == ("area.create", "Xã một")
    missed = [await api.create_area(f"Xã {number}", "commune") for number in range(5)]
    for after, header in ((sent.id, None), (None, str(sent.id)), (0, str(sent.id))):
        async with watching(api, after, header) as watcher:
            assert (await watcher.next()).kind == "hello"
            seen = [(await watcher.next()) for _ in missed]
            assert [each.data["subject"] for each in seen] == [f"area:{area}" for area in missed]
            assert [each.id for each in seen] == list(range(sent.id + 1, sent.id + 6))


async def test_each_sees_what_is_theirs(api: ApiClient) -> None:
    one, two = await api.create_area("Xã của tôi", "commune"), await api.create_area("Xã kia", "commune")
    made = await api.call("POST", "/api/v1/tokens", {"name": "tôi", "role": "ops", "area_id": one})
    async with ApiClient(api.url, made["token"]) as mine, watching(mine) as watcher:
        await watcher.next()
        body = {"name": "Loa kia", "area_id": two}
        hidden = (await api.call("POST", "/api/v1/enrolments", body))["id"]
        await api.call("POST", "/api/v1/tokens", {"name": "không phải việc của tôi", "role": "viewer"})
        shown = (await api.call("POST", "/api/v1/enrolments", {**body, "area_id": one}))["id"]
        last = await api.create_area("Ai cũng thấy", "commune")
        seen: list[str] = []
        while not seen or seen[-1] != f"area:{last}":
            seen.append((await watcher.next()).data["subject"])
    assert f"enrolment:{shown}" in seen
    assert f"enrolment:{hidden}" not in seen
    assert not [subject for subject in seen if subject.startswith("token:")]


async def test_an_officer_sees_what_is_heard_in_the_own_area(api: ApiClient, tmp_path: Path) -> None:
    sound = tmp_path / "siren.wav"
    sound.write_bytes(sounds.wav(sounds.siren(0.5)))
    async with city_with_officers(api) as city, watching(city.officers["commune"]) as watcher:
        await watcher.next()
        expected, made = set(), None
        for name in (*city.areas, None):
            made = await api.upload("Bản tin", sound, area_id=city.areas.get(name or ""))
            broadcast = await api.start(made["id"], areas=[city.areas[name or "city"]])
            await api.call("POST", f"/api/v1/broadcasts/{broadcast['id']}/stop")
            if name in (None, "city", "district", "commune", "hamlet"):
                expected |= {f"programme:{made['id']}", f"broadcast:{broadcast['id']}"}
        last = await api.create_area("Ai cũng thấy", "commune")
        seen: list[str] = []
        while not seen or seen[-1] != f"area:{last}":
            seen.append((await watcher.next()).data["subject"])
    assert {subject for subject in seen if subject.startswith(("programme:", "broadcast:"))} == expected


async def test_a_number_from_the_future_is_a_gap(api: ApiClient) -> None:
    async with watching(api, 10**12) as watcher:
        gap = await watcher.next()
        assert (gap.kind, gap.data["after"]) == ("gap", 10**12)
        assert (await watcher.next()).id == gap.id < 10**9


@pytest.mark.parametrize("header", ["x", "-1", "1.5", "٣", "9" * 19, " 1"])
async def test_an_id_that_is_none_is_refused(api: ApiClient, header: str) -> None:
    async with api._session.get(f"{api.url}/api/v1/events", headers={"Last-Event-ID": header}) as answer:
        # Spaces around a header's value are not part of it (RFC 9110 §5.5).
        assert answer.status == (200 if header == " 1" else 422)


async def test_watchers_are_bounded(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_WATCHERS", 0)
    assert (await problem(api, "GET", "/api/v1/events")).slug == "busy"


async def test_a_token_that_is_revoked_watches_no_more(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    made = await api.call("POST", "/api/v1/tokens", {"name": "một lát", "role": "viewer"})
    async with ApiClient(api.url, made["token"]) as mine, watching(mine) as watcher:
        await watcher.next()
        await api.call("POST", f"/api/v1/tokens/{made['id']}/revoke")
        async with asyncio.timeout(20):
            while await watcher._answer.content.readline():
                pass


async def test_every_thing_that_the_journal_tells_of_has_a_right_to_see_it(api: ApiClient) -> None:
    told = {entry["subject"].partition(":")[0] for entry in await api.items("/api/v1/audit")}
    assert told <= set(SEEN_WITH)
