"""A client of the core's public API, as scripts use it: the demo, the command line, the tests."""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp

from loa.errors import LoaError

Json = dict[str, Any]


class ApiError(LoaError):
    """The API answered with a problem; `slug` and `status` say which."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")
        self.status = status
        self.slug = str(problem.get("type", "")).rpartition(":")[2]
        self.detail = str(problem.get("detail", ""))


class _Watched(io.FileIO):
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, told: Callable[[int], object]) -> None:
        super().__init__(path)
        self._told = told
        self._read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self._read += len(data)
        self._told(self._read)
        return data


class ApiClient:
    """`async with ApiClient(url, token) as api:`. Every call raises ApiError for a problem.

    `tls`: what the core's certificate is verified by, when not by the system's authorities.
    """

    def __init__(self, url: str, token: str, tls: ssl.SSLContext | None = None) -> None:
        self.url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            connector=aiohttp.TCPConnector(ssl=tls or True),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        """One call with a JSON body and a JSON answer."""
        try:
            async with self._session.request(method, self.url + path, json=body, headers=headers) as answer:
                return await self._json(answer)
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> ApiError:
        return ApiError(0, {"title": "unreachable", "detail": f"{self.url}: {error}"})

    @staticmethod
    async def _json(answer: aiohttp.ClientResponse) -> Json:
        if answer.status == 204:
            return {}
        try:
            said: Json = await answer.json(content_type=None)
        except ValueError as error:
            raise ApiError(answer.status, {"title": answer.reason, "detail": "not JSON"}) from error
        if answer.status >= 400:
            raise ApiError(answer.status, said)
        return said

    async def create_area(self, name: str, level: str, parent_id: str | None = None) -> str:
        """A new area's identifier."""
        made = await self.call("POST", "/api/v1/areas", {"name": name, "level": level, "parent_id": parent_id})
        return str(made["id"])

    async def enrolment_code(self, area_id: str, name: str, valid_s: int | None = None) -> str:
        """A one-time code for a speaker."""
        body = {"area_id": area_id, "name": name, "valid_s": valid_s}
        return str((await self.call("POST", "/api/v1/enrolments", body))["code"])

    async def upload(
        self,
        title: str,
        file: Path,
        klass: str = "routine",
        area_id: str | None = None,
        *,
        upload_id: str | None = None,
        sha256: str | None = None,
        sent: Callable[[int], None] = lambda _bytes: None,
    ) -> Json:
        """Store a programme from an audio file: of an area, or the whole city's.

        `sent` is told how many bytes of the file have been read to be sent. Encoding takes its time: no time limit.
        """
        with _Watched(file, sent) as opened:
            form = aiohttp.FormData()
            form.add_field("title", title)
            form.add_field("class", klass)
            if area_id is not None:
                form.add_field("area_id", area_id)
            if sha256 is not None:
                form.add_field("sha256", sha256)
            form.add_field("file", opened, filename=file.name)
            headers = {} if upload_id is None else {"Upload-Id": upload_id}
            url, no_limit = f"{self.url}/api/v1/programmes", aiohttp.ClientTimeout(total=None, sock_connect=30)
            try:
                async with self._session.post(url, data=form, headers=headers, timeout=no_limit) as answer:
                    return await self._json(answer)
            except (aiohttp.ClientError, OSError) as error:
                raise self._unreachable(error) from error

    async def send_list(
        self, path: str, file: Path, fields: Mapping[str, str], told: Callable[[int], object] = lambda sent: None
    ) -> Json:
        """Send a list of areas or devices as a form; `told` hears how many bytes have gone."""
        with _Watched(file, told) as opened:
            form = aiohttp.FormData(fields)
            form.add_field("file", opened, filename=file.name)
            try:
                async with self._session.post(self.url + path, data=form) as answer:
                    return await self._json(answer)
            except (aiohttp.ClientError, OSError) as error:
                raise self._unreachable(error) from error

    async def text(self, path: str) -> str:
        """The body of a page that is no JSON."""
        try:
            async with self._session.get(self.url + path) as answer:
                if answer.status >= 400:
                    await self._json(answer)
                return await answer.text()
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(error) from error

    async def audio(self, programme_id: str) -> bytes:
        """The stored Ogg Opus file of a programme."""
        async with self._session.get(f"{self.url}/api/v1/programmes/{programme_id}/audio") as answer:
            if answer.status >= 400:
                await self._json(answer)
            return await answer.read()

    async def start(
        self,
        programme_id: str,
        *,
        areas: list[str] | None = None,
        endpoints: list[str] | None = None,
        **more: Any,
    ) -> Json:
        """Take a programme on air."""
        targets = {"areas": areas or [], "endpoints": endpoints or []}
        return await self.call(
            "POST", "/api/v1/broadcasts", {"programme_id": programme_id, "targets": targets, **more}
        )

    async def items(self, path: str, **filters: str) -> list[Json]:
        """All items of a paged list, by these filters."""
        gathered: list[Json] = []
        query = {"limit": "500", **filters}
        while True:
            got = await self.call("GET", f"{path}?{urlencode(query)}")
            gathered += got["items"]
            if not got.get("next"):
                return gathered
            query["after"] = got["next"]
