"""Enrolment, and what is believed of its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from loa.codecs import enrolment_wire
from loa.codecs.enrolment_wire import EnrolmentCode, from_base64, to_base64
from loa.codecs.statement_wire import Placement
from loa.edge.speaker import enrol, identity
from loa.edge.speaker.enrol import Claim, verify_answer
from loa.errors import AuthorityError, EnrolmentError, LinkError, WireError
from loa.model import id_text
from tests.edge.origin import ENDPOINT, Authorities, key

CODE = EnrolmentCode("ABCDE", "0123456789ABCDE")


def answer(claim_nonce: bytes, by: Authorities, code: EnrolmentCode = CODE, **changes: bytes) -> dict[str, str]:
    """The server's answer, with a MAC over what it says."""
    parts = {
        "endpoint_id": ENDPOINT,
        "root_key": by.root.public_key,
        "key_list": by.key_list(),
        "placement": by.placement(),
        **changes,
    }
    tag = enrolment_wire.answer_mac(code.key(), nonce=claim_nonce, **parts)
    texts = {name: to_base64(value) for name, value in parts.items()}
    return {**texts, "endpoint_id": id_text(parts["endpoint_id"]), "mac": to_base64(tag)}


def claim() -> Claim:
    return Claim(CODE, key("device"), b"n" * 16, "speaker")


def test_an_honest_answer_is_believed() -> None:
    by = Authorities()
    made = verify_answer(claim(), answer(b"n" * 16, by))
    assert (made.endpoint_id, made.root_key) == (ENDPOINT, by.root.public_key)


_BAD: dict[str, Callable[[Authorities], object]] = {
    "another code's MAC": lambda by: answer(b"n" * 16, by, EnrolmentCode("ABCDE", "0" * 15)),
    "another claim's": lambda by: answer(b"m" * 16, by),
    "a list of another root": lambda by: answer(b"n" * 16, by, key_list=by.key_list(root=key("stranger"))),
    "a placement by a stranger": lambda by: answer(b"n" * 16, by, placement=by.placement(signer=key("stranger"))),
    "another's placement": lambda by: answer(
        b"n" * 16, by, placement=Placement(b"e" * 16, 1, (b"a" * 16,)).seal(by.order_key)
    ),
    "no object": lambda by: [1, 2],
    "a field missing": lambda by: {"endpoint_id": id_text(ENDPOINT)},
    "no UUID": lambda by: answer(b"n" * 16, by) | {"endpoint_id": "x"},
    "no base64": lambda by: answer(b"n" * 16, by) | {"mac": "?"},
}


@pytest.mark.parametrize("kind", _BAD)
def test_a_bad_answer_is_not_believed(kind: str) -> None:
    with pytest.raises((AuthorityError, WireError)):
        verify_answer(claim(), _BAD[kind](Authorities()))


class Server:
    """An HTTP server that answers claims."""

    def __init__(self) -> None:
        self.by = Authorities()
        self.problem: tuple[int, str] | None = None
        self.spoil = False
        self.device_keys: list[bytes] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        device = from_base64(body["device_key"], size=32)
        nonce = from_base64(body["nonce"], size=16)
        self.device_keys.append(device)
        expected = enrolment_wire.claim_mac(
            CODE.key(), code_id=CODE.code_id, device_key=device, nonce=nonce, kind=body["kind"]
        )
        assert from_base64(body["mac"]) == expected
        assert body["code_id"] == CODE.code_id
        if self.problem is not None:
            status, slug = self.problem
            return web.json_response({"type": f"https://loa/problems/{slug}", "title": "no"}, status=status)
        key_list = self.by.key_list(root=key("stranger")) if self.spoil else self.by.key_list()
        return web.json_response(answer(nonce, self.by, key_list=key_list))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_post("/api/v1/enrolments/claim", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def test_a_typed_code_makes_an_identity(server: Server, tmp_path: Path) -> None:
    await enrol.claim(server.url + "/", " abcde-ol234 56789 abcde ", tmp_path / "state")
    me = identity.load(tmp_path / "state")
    assert me is not None
    assert me.endpoint_id == ENDPOINT
    assert server.device_keys == [me.device_key.public_key]


@pytest.mark.parametrize(
    ("status", "slug", "words"),
    [
        (404, "enrolment-unknown", "no such"),
        (403, "enrolment-wrong", "wrong"),
        (403, "enrolment-spent", "locked"),
        (409, "enrolment-used", "Another device"),
        (410, "enrolment-expired", "expired"),
        (500, "something-else", "refuses"),
    ],
)
async def test_a_refusal_is_one_clear_line(
    server: Server, tmp_path: Path, status: int, slug: str, words: str
) -> None:
    server.problem = (status, slug)
    with pytest.raises(EnrolmentError, match=words) as caught:
        await enrol.claim(server.url, CODE.text, tmp_path / "state")
    assert "\n" not in str(caught.value)
    assert identity.load(tmp_path / "state") is None


async def test_nothing_is_pinned_from_an_answer_that_does_not_hold(server: Server, tmp_path: Path) -> None:
    server.spoil = True
    with pytest.raises(AuthorityError):
        await enrol.claim(server.url, CODE.text, tmp_path / "state")
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == [identity.DEVICE_KEY]


async def test_the_claim_is_made_again_by_the_same_device(server: Server, tmp_path: Path) -> None:
    server.problem = (500, "x")
    with pytest.raises(EnrolmentError):
        await enrol.claim(server.url, CODE.text, tmp_path / "state")
    server.problem = None
    await enrol.claim(server.url, CODE.text, tmp_path / "state")
    assert len(set(server.device_keys)) == 1


async def test_a_code_of_another_form_asks_nobody(server: Server, tmp_path: Path) -> None:
    with pytest.raises(EnrolmentError, match="four groups"):
        await enrol.claim(server.url, "ABCDE", tmp_path / "state")
    assert server.device_keys == []


async def test_no_server_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="does not answer"):
        await enrol.claim("http://127.0.0.1:1", CODE.text, tmp_path / "state")
