"""Where a load run's endpoints stand at the core, and how all of it is taken away again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from loa.app.api_client import ApiClient, ApiError
from loa.app.load.identities import Register
from loa.durable import replace_file
from loa.errors import ConfigError
from loa.model import id_text

AREA_NAME = "Thử tải · load test"
_REVOKES_AT_ONCE = 8
_TRIES = 20
_WAIT_S = 1.0


class Belongings:
    """What a run has made at the core besides its endpoints: in `made.json` of the state folder."""

    def __init__(self, folder: Path) -> None:
        """ConfigError for a damaged file."""
        self._path = folder / "made.json"
        self.area_id = ""
        self.programmes: list[str] = []
        if self._path.exists():
            try:
                held = json.loads(self._path.read_text(encoding="utf-8"))
                self.area_id, self.programmes = str(held["area_id"]), [str(each) for each in held["programmes"]]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{self._path} is damaged: {error!r}; remove it") from error

    def keep(self) -> None:
        """Write it down. ConfigError."""
        text = json.dumps({"area_id": self.area_id, "programmes": self.programmes})
        try:
            replace_file(self._path, text.encode())
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from error

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)
        self.area_id, self.programmes = "", []


async def own_area(api: ApiClient, belongings: Belongings) -> str:
    """The run's own area, made the first time. ApiError."""
    if not belongings.area_id:
        belongings.area_id = await api.create_area(AREA_NAME, "commune")
        belongings.keep()
    return belongings.area_id


async def require_only_ours(api: ApiClient, area_id: str, register: Register) -> None:
    """ConfigError when other devices stand in the area: people would hear the test. ApiError."""
    ours = {id_text(each.endpoint_id) for each in register.endpoints.values()}
    for row in await api.items("/api/v1/endpoints", area_id=area_id, revoked="false"):
        if row["id"] not in ours:
            raise ConfigError(
                f"trong địa bàn có thiết bị khác ({row['name']}): dùng địa bàn riêng, hoặc --others-may-hear · "
                f"other devices stand in the area ({row['name']}): use another one, or --others-may-hear"
            )


async def clean_up(
    api: ApiClient,
    register: Register,
    belongings: Belongings,
    told: Callable[[int, int], object] = lambda done, wanted: None,
) -> None:
    """Revoke the endpoints, delete the programmes, close the area, forget everything. ApiError."""
    waiting = [id_text(each.endpoint_id) for each in register.endpoints.values()]
    wanted, done = len(waiting), 0

    async def revoke(ids: Iterable[str]) -> None:
        nonlocal done
        for endpoint_id in ids:
            await _patiently(api, "POST", f"/api/v1/endpoints/{endpoint_id}/revoke")
            done += 1
            told(done, wanted)

    ids = iter(waiting)
    await asyncio.gather(*(revoke(ids) for _ in range(_REVOKES_AT_ONCE)))
    for programme_id in belongings.programmes:
        await _patiently(api, "DELETE", f"/api/v1/programmes/{programme_id}")
    if belongings.area_id:
        path = f"/api/v1/areas/{belongings.area_id}/close"
        try:
            await api.call("POST", path, {}, {"If-Match": "*"})
        except ApiError as error:
            # Codes that nobody claimed, or revoked devices, may stand in it: it stays, empty of all that speaks.
            if error.status not in (404, 409):
                raise
    register.forget()
    belongings.forget()


async def _patiently(api: ApiClient, method: str, path: str) -> dict[str, Any]:
    """A call that waits where the core says that this caller is too fast; gone is as good as done."""
    for left in range(_TRIES, -1, -1):
        try:
            return await api.call(method, path)
        except ApiError as error:
            if error.status == 404:
                return {}
            if error.status not in (409, 429, 503) or not left:
                raise
            await asyncio.sleep(_WAIT_S)
    raise AssertionError("not reached")
