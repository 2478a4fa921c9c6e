"""Enrolment: a one-time code for an identity (docs/protocol.md, *Enrolment*).

The two ends prove to each other that they know the code; nothing is pinned before every proof held.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from loa.codecs import enrolment_wire, signed
from loa.codecs.authority import Authority, Right
from loa.codecs.enrolment_wire import EnrolmentCode, from_base64, to_base64
from loa.codecs.signed import KEY_BYTES, Kind, SigningKey
from loa.codecs.statement_wire import Placement
from loa.edge.speaker import identity
from loa.edge.speaker.state_folder import StateFolder
from loa.errors import AuthorityError, EnrolmentError, LinkError, WireError
from loa.model import EndpointKind, parse_id

NONCE_BYTES = 16
_MAX_ANSWER_BYTES = 262_144
_TIMEOUT_S = 15.0
_BUSY_TRIES = 10
_BUSY_S = 1.0
_WORDS = {
    "unknown": "Không có mã đăng ký này · There is no such enrolment code",
    "wrong": "Mã đăng ký sai · The enrolment code is wrong",
    "used": "Mã đăng ký đã được thiết bị khác dùng · Another device has used this enrolment code",
    "expired": "Mã đăng ký đã hết hạn · The enrolment code has expired",
    "spent": "Mã đăng ký đã bị khóa vì sai quá nhiều lần · The enrolment code is locked after too many mistakes",
    "kind": "Mã đăng ký dành cho loại thiết bị khác · The enrolment code is for another kind of device",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim, and what its answer is checked with."""

    code: EnrolmentCode
    device_key: SigningKey
    nonce: bytes
    kind: str

    def body(self) -> dict[str, str]:
        """The JSON body of the request."""
        tag = enrolment_wire.claim_mac(
            self.code.key(),
            code_id=self.code.code_id,
            device_key=self.device_key.public_key,
            nonce=self.nonce,
            kind=self.kind,
        )
        return {
            "code_id": self.code.code_id,
            "device_key": to_base64(self.device_key.public_key),
            "nonce": to_base64(self.nonce),
            "kind": self.kind,
            "mac": to_base64(tag),
        }


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A verified answer."""

    endpoint_id: bytes
    root_key: bytes
    key_list: bytes
    placement: bytes


def verify_answer(claim: Claim, answer: object) -> Enrolled:
    """What a claim was answered, when the MAC holds, the root signed the key list, a key of it with the LINK right
    signed the placement, and the placement is this endpoint's. WireError or AuthorityError otherwise."""
    if not isinstance(answer, dict):
        raise WireError("the answer is no JSON object")
    texts = [answer.get(name) for name in ("endpoint_id", "root_key", "key_list", "placement", "mac")]
    if not all(isinstance(text, str) for text in texts):
        raise WireError("the answer lacks a field")
    id_text, root_text, list_text, placement_text, mac_text = (str(text) for text in texts)
    try:
        endpoint_id = parse_id(id_text)
    except ValueError as error:
        raise WireError("the answer's endpoint id is no UUID") from error
    made = Enrolled(
        endpoint_id, from_base64(root_text, size=KEY_BYTES), from_base64(list_text), from_base64(placement_text)
    )
    expected = enrolment_wire.answer_mac(
        claim.code.key(),
        nonce=claim.nonce,
        endpoint_id=made.endpoint_id,
        root_key=made.root_key,
        key_list=made.key_list,
        placement=made.placement,
    )
    if not hmac.compare_digest(expected, from_base64(mac_text)):
        raise AuthorityError("the answer does not come from one who knows the code")
    authority = Authority(made.root_key, made.key_list)
    envelope = signed.parse(made.placement, Kind.PLACEMENT)
    # There is no trusted time yet, and the answer is fresh: it answers the nonce. The list is taken at its issue.
    authority.entitled(envelope, Right.LINK, utc_s=authority.key_list.issued_s)
    if Placement.decode(envelope.body).endpoint_id != made.endpoint_id:
        raise AuthorityError("the placement is another endpoint's")
    return made


async def claim(core_url: str, code: str, state_dir: Path, kind: str = EndpointKind.SPEAKER) -> bytes:
    """Enrol this device with a typed code, and write the identity down; the endpoint's id.

    EnrolmentError with a line for the installer when the server refuses the code; LinkError when no server
    answers; WireError and AuthorityError when its answer proves nothing. Then nothing is pinned.
    """
    folder = StateFolder(state_dir)
    try:
        typed = EnrolmentCode.parse(code)
    except WireError as error:
        raise EnrolmentError(
            "wrong", "Mã đăng ký gồm 20 chữ và số, bốn nhóm năm · An enrolment code has four groups of five"
        ) from error
    request = Claim(typed, identity.device_key(folder), secrets.token_bytes(NONCE_BYTES), str(kind))
    made = await ask(core_url, request)
    identity.enrolled(
        folder,
        endpoint_id=made.endpoint_id,
        root_key=made.root_key,
        key_list=made.key_list,
        placement=made.placement,
    )
    return made.endpoint_id


async def ask(core_url: str, request: Claim, *, source: str | None = None) -> Enrolled:
    """Make a claim, from the address `source` if one is named; what it was answered, verified.

    It asks again where the server is busy with other claims: a whole street may be switched on at once. Errors as
    of `claim`.
    """
    url = core_url.rstrip("/") + "/api/v1/enrolments/claim"
    for left in range(_BUSY_TRIES, -1, -1):
        try:
            return verify_answer(request, await _post(url, request.body(), source))
        except _BusyError:
            if not left:
                raise
            await asyncio.sleep(_BUSY_S * (0.5 + secrets.randbelow(1000) / 1000))
    raise AssertionError("not reached")


class _BusyError(EnrolmentError):
    """The server takes no further claim now."""


async def _post(url: str, body: dict[str, str], source: str | None) -> object:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    connector = aiohttp.TCPConnector(local_addr=None if source is None else (source, 0))
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            session.post(url, json=body) as response,
        ):
            text = await _read_bounded(response)
            status = response.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise LinkError(f"Không kết nối được máy chủ · The server does not answer: {url}: {why}") from error
    try:
        answer: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the server answered {status} with no JSON") from error
    if status == 200:
        return answer
    if status in (429, 503):
        raise _BusyError("unknown", "Máy chủ đang bận, hãy thử lại · The server is busy, try again")
    raise _refusal(status, answer)


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(16_384):
        data += chunk
        if len(data) > _MAX_ANSWER_BYTES:
            raise WireError(f"the server answered with more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(data)


def _refusal(status: int, problem: object) -> EnrolmentError:
    kind = problem.get("type") if isinstance(problem, dict) else None
    slug = str(kind).rpartition("enrolment-")[2] if isinstance(kind, str) and "enrolment-" in kind else ""
    words = _WORDS.get(slug)
    if words is None:
        title = problem.get("title") if isinstance(problem, dict) else None
        shown = str(title)[:120] if isinstance(title, str) else f"HTTP {status}"
        return EnrolmentError("unknown", f"Máy chủ từ chối · The server refuses: {shown}")
    return EnrolmentError(slug, words)
