"""Endpoints enrolled by the thousand: codes in one request of the API, claims as devices make them."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from loa.app.api_client import ApiClient
from loa.app.load.identities import Enrolled
from loa.app.load.plan import is_loopback, loopback_address
from loa.codecs.enrolment_wire import EnrolmentCode
from loa.codecs.signed import SigningKey
from loa.edge.speaker import enrol
from loa.edge.speaker.enrol import Claim
from loa.model import EndpointKind

CLAIMS_AT_ONCE = 6
"""Of all processes together: a core takes eight, and other devices may come too."""
CODES_VALID_S = 86_400


def name_of(tag: str, number: int) -> str:
    """What an endpoint of a load run is called, so that people know it for one. `tag`: of its state folder."""
    return f"Loa thử tải {tag} {number:05d}"


async def make_codes(
    api: ApiClient, area_id: str, names: Mapping[str, int], told: Callable[[int], object] = lambda sent: None
) -> list[tuple[int, str, str]]:
    """A one-time code for each name, in one request: number, name, code. Codes of a run that was cut off are made
    anew. ApiError."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8") as file:
        file.write("tên\n")
        file.writelines(f"{name}\n" for name in names)
        file.flush()
        fields = {"under": area_id, "renew": "true", "valid_s": str(CODES_VALID_S)}
        made = await api.send_list("/api/v1/endpoints/import", Path(file.name), fields, told)
    return [(names[row["name"]], str(row["name"]), str(row["code"])) for row in made["codes"]]


async def claim_all(
    core_url: str, codes: Sequence[tuple[int, str, str]], at_once: int
) -> AsyncIterator[tuple[Enrolled, bytes, bytes]]:
    """Claim codes (number, name, code) as so many devices, `at_once` at a time; each with root key and key list, as
    they come.

    On loopback each claims from its own address, as a device does: a core counts callers by address.
    """
    local = is_loopback(core_url)
    gate = asyncio.Semaphore(at_once)

    async def one(number: int, name: str, code: str) -> tuple[Enrolled, bytes, bytes]:
        claim = Claim(
            EnrolmentCode.parse(code),
            SigningKey.generate(),
            secrets.token_bytes(enrol.NONCE_BYTES),
            str(EndpointKind.SPEAKER),
        )
        async with gate:
            made = await enrol.ask(core_url, claim, source=loopback_address(number) if local else None)
        enrolled = Enrolled(number, name, made.endpoint_id, claim.device_key.seed, made.placement)
        return enrolled, made.root_key, made.key_list

    claims = [asyncio.create_task(one(*each)) for each in codes]
    try:
        for done in asyncio.as_completed(claims):
            yield await done
    finally:
        for each in claims:
            each.cancel()
