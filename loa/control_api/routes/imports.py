"""Lists of areas and devices over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from aiohttp import BodyPartReader, web

from loa.broadcast.people.rights import Right
from loa.broadcast.registry.importer import AreaImport, DeviceImport
from loa.broadcast.registry.lists.csv_table import write_table
from loa.broadcast.registry.lists.device_plan import DeviceAction
from loa.broadcast.registry.lists.from_csv import areas_from_csv, devices_from_csv
from loa.broadcast.registry.lists.from_geojson import areas_from_geojson
from loa.broadcast.registry.lists.official_units import DECREE, official_units
from loa.broadcast.registry.lists.rows import MAX_LIST_BYTES, AreaList, DeviceList
from loa.control_api.answers import answer
from loa.control_api.auth import PRINCIPAL, act_of
from loa.control_api.models.imports import (
    AreaImportOut,
    AreaListForm,
    DeviceCodesForm,
    DeviceImportOut,
    DeviceListForm,
    OfficialIn,
)
from loa.control_api.places import place
from loa.control_api.problems import Problem
from loa.control_api.reach import require_in_all
from loa.control_api.requests import at_core, body, services
from loa.control_api.uploads import chunks, read_form
from loa.errors import Changed, PlaceError
from loa.model import id_text

MAX_AT_ONCE = 2
"""Lists that are worked at: each may have sixteen megabytes."""
FILE_TIMEOUT_S = 120.0
CODE_COLUMNS = ("Tên", "Mã đơn vị", "Đơn vị", "Mã đăng ký", "Vĩ độ", "Kinh độ")

List = TypeVar("List", AreaList, DeviceList)


async def import_areas(request: web.Request) -> web.Response:
    """Take in a list of areas from CSV or GeoJSON: whole, or not at all when a row is wrong.

    A row is the area that has its code, or else its name in its place; or a new one. What a row does not say stays
    as it is, and nothing is removed. The same list again changes nothing.
    """
    with place(request, "import", MAX_AT_ONCE):
        given, file = await read_form(request, AreaListForm, MAX_LIST_BYTES)
        parse = areas_from_csv if given.format == "csv" else areas_from_geojson
        listed = await _parsed(await _read(file), parse)
        return await _import_areas(request, listed, given.under, given.source, given.plan, dry_run=given.dry_run)


async def import_official_units(request: web.Request) -> web.Response:
    """Take in provinces with all their wards, communes and special zones, by their official codes."""
    given = await body(request, OfficialIn)
    with place(request, "import", MAX_AT_ONCE):
        listed = await asyncio.to_thread(official_units, given.provinces)
        return await _import_areas(request, listed, given.under, DECREE, given.plan, dry_run=given.dry_run)


async def _import_areas(
    request: web.Request, listed: AreaList, under: UUID | None, source: str, plan: str | None, *, dry_run: bool
) -> web.Response:
    core = services(request)
    top = None if under is None else under.bytes
    looked_at = await core.importer.preview_areas(listed, under=top, now_ms=core.now_ms)
    named = frozenset() if top is None else frozenset([top])
    await require_in_all(request, Right.AREAS_WRITE, looked_at.plan.touched | named)
    if dry_run:
        return answer(request, AreaImportOut.of(looked_at, applied=False))
    _refuse_errors(looked_at)
    # What the caller may do was found of this plan: exactly this is taken in.
    seen = looked_at.plan.fingerprint
    try:
        if plan not in (None, seen):
            raise Changed("the list comes to something else by now: look at it again")
        made = await core.importer.apply_areas(listed, act_of(request), under=top, source=source, fingerprint=seen)
    except Changed as error:
        raise Problem(409, "plan-changed", str(error)) from error
    await at_core(request).hub.moved(made.moved)
    return answer(request, AreaImportOut.of(made, applied=True))


async def import_devices(request: web.Request) -> web.Response:
    """Take in a list of devices from CSV: each that is not there yet is given an enrolment code.

    Codes are told here and never again; `renew` gives others in their place.
    """
    with place(request, "import", MAX_AT_ONCE):
        given, file = await read_form(request, DeviceListForm, MAX_LIST_BYTES)
        listed = await _parsed(await _read(file), devices_from_csv)
        if given.dry_run:
            core = services(request)
            plan = await core.importer.preview_devices(
                listed, under=_bytes(given.under), within=_within(request), now_ms=core.now_ms, renew=given.renew
            )
            return answer(request, DeviceImportOut.of(plan, applied=False, codes={}, expires_ms=None))
        made = await _import_devices(request, listed, given.under, given.renew, given.valid_s, given.plan)
    codes = {line: code.text for line, code in made.codes.items()}
    return answer(request, DeviceImportOut.of(made.plan, applied=True, codes=codes, expires_ms=made.expires_ms))


async def import_devices_to_csv(request: web.Request) -> web.Response:
    """Take in a list of devices from CSV, and answer with a table of their enrolment codes, for installers."""
    with place(request, "import", MAX_AT_ONCE):
        given, file = await read_form(request, DeviceCodesForm, MAX_LIST_BYTES)
        listed = await _parsed(await _read(file), devices_from_csv)
        made = await _import_devices(request, listed, given.under, given.renew, given.valid_s, None)
    rows = [
        (
            each.name,
            each.area.code or id_text(each.area.id),
            each.area.name,
            made.codes[each.line].text,
            "" if each.position is None else each.position.lat,
            "" if each.position is None else each.position.lon,
        )
        for each in made.plan.of(DeviceAction.CODE)
    ]
    return web.Response(
        body=write_table(CODE_COLUMNS, rows),
        content_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="codes.csv"', "Cache-Control": "no-store"},
    )


async def _import_devices(
    request: web.Request, listed: DeviceList, under: UUID | None, renew: bool, valid_s: int | None, plan: str | None
) -> DeviceImport:
    core = services(request)
    if listed.errors:
        raise _wrong_rows(len(listed.errors), listed.errors[0].line, listed.errors[0].message)
    try:
        return await core.importer.apply_devices(
            listed,
            act_of(request),
            under=_bytes(under),
            within=_within(request),
            valid_s=valid_s or core.config.enrolment_valid_s,
            renew=renew,
            fingerprint=plan,
        )
    except Changed as error:
        raise Problem(409, "plan-changed", str(error)) from error


def _within(request: web.Request) -> frozenset[bytes] | None:
    """Where the caller may enrol devices."""
    return request[PRINCIPAL].roots(Right.ENDPOINTS_WRITE)


def _bytes(given: UUID | None) -> bytes | None:
    return None if given is None else given.bytes


def _refuse_errors(looked_at: AreaImport) -> None:
    if looked_at.plan.errors:
        first = looked_at.plan.errors[0]
        raise _wrong_rows(len(looked_at.plan.errors), first.line, first.message)


def _wrong_rows(count: int, line: int, message: str) -> PlaceError:
    return PlaceError(f"{count} rows are wrong, so none was taken in; line {line}: {message}")


async def _read(file: BodyPartReader) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(FILE_TIMEOUT_S):
            async for chunk in chunks(file):
                data += chunk
                if len(data) > MAX_LIST_BYTES:
                    raise Problem(413, "too-large", f"a list may have {MAX_LIST_BYTES} bytes")
    except TimeoutError as error:
        raise Problem(408, "timeout", f"the list took longer than {FILE_TIMEOUT_S:g} s") from error
    return bytes(data)


async def _parsed(data: bytes, parse: Callable[[bytes], List]) -> List:
    """The list, read in a thread so that others are served meanwhile."""
    return await asyncio.to_thread(parse, data)
