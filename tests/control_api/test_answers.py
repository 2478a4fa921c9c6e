"""What a failure tells the caller, and what only the log."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from loa.app.api_client import ApiClient
from loa.app.core import Core
from loa.broadcast.registry.areas import Areas
from loa.codecs import key_schedule, link_wire
from loa.codecs.link_wire import (
    SUBPROTOCOL,
    Proof,
    Receipt,
    ReceiptsAck,
    ReceiptsMessage,
    WelcomeMessage,
)
from loa.edge.speaker.identity import Identity
from loa.errors import StoreError
from loa.model import ReceiptState, id_text
from tests import sounds
from tests.control_api.test_api import problem, upload
from tests.control_api.test_link import enrolled, hello

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_store_that_fails_tells_the_log_and_not_the_caller(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_given: object) -> list[object]:
        raise StoreError("the store failed: SELECT sha256 FROM token")

    monkeypatch.setattr(Areas, "list", fails)
    with capture_logs() as logs:
        async with api._session.get(f"{api.url}/api/v1/areas") as answer:
            text = await answer.text()
            assert answer.status == 503
    assert "store-unavailable" in text
    assert "SELECT" not in text
    assert "token" not in text
    (line,) = [line for line in logs if "SELECT" in str(line)]
    assert line["request_id"] in text


async def test_a_conflict_names_no_table(api: ApiClient) -> None:
    body = {"name": "Xã", "level": "commune", "code": "HP-01"}
    await api.call("POST", "/api/v1/areas", body)
    with capture_logs() as logs:
        error = await problem(api, "POST", "/api/v1/areas", body)
    assert (error.status, error.slug) == (409, "conflict")
    assert error.detail == (
        "the store refuses it: something of that name is there already, or what it refers to is not"
    )
    assert any("area.code" in str(line) for line in logs)


async def test_a_wrong_method_is_told_the_right_ones(api: ApiClient) -> None:
    async with api._session.delete(f"{api.url}/api/v1/areas") as answer:
        assert (answer.status, answer.content_type) == (405, "application/problem+json")
        assert {method.strip() for method in answer.headers["Allow"].split(",")} == {"GET", "HEAD", "POST"}


async def linked(socket: aiohttp.ClientWebSocketResponse, device: Identity) -> None:
    """Prove who the device is."""
    first = hello(device.endpoint_id)
    await socket.send_bytes(first)
    welcome = link_wire.decode(await socket.receive_bytes())
    assert isinstance(welcome, WelcomeMessage)
    signature = device.device_key.sign(key_schedule.proof_message(first, welcome.welcome))
    await socket.send_bytes(link_wire.encode(Proof(signature)))


async def acknowledged(api: ApiClient, device: Identity, receipts: tuple[Receipt, ...]) -> ReceiptsAck:
    """Send receipts over a link, and wait until they need not be sent again."""
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{api.url}/link", protocols=(SUBPROTOCOL,)) as socket,
    ):
        await linked(socket, device)
        await socket.send_bytes(link_wire.encode(ReceiptsMessage(receipts)))
        while not isinstance(message := link_wire.decode(await socket.receive_bytes()), ReceiptsAck):
            pass
    return message


async def test_no_endpoint_spoils_the_receipts_of_a_broadcast(core: Core, api: ApiClient, tmp_path: Path) -> None:
    meant, other = await enrolled(api, tmp_path / "meant"), await enrolled(api, tmp_path / "other")
    programme = await upload(api, tmp_path, sounds.wav(sounds.siren(2.0)))
    broadcast = await api.start(programme["id"], endpoints=[id_text(meant.endpoint_id)])
    path = f"/api/v1/broadcasts/{broadcast['id']}"
    order_id = bytes.fromhex((await api.call("GET", f"{path}/orders"))["items"][0]["order_id"])
    receipts = (
        Receipt(order_id, ReceiptState.RECEIVED, 1 << 62),
        Receipt(order_id, ReceiptState.STARTED, (1 << 63) - 1, presented_ns=1, index=2, error_ns=3),
        Receipt(secrets.token_bytes(16), ReceiptState.RECEIVED, 0),
    )
    for device in (meant, other):
        ack = await acknowledged(api, device, receipts)
        assert ack.receipts == tuple((receipt.order_id, int(receipt.state)) for receipt in receipts)
    (row,) = await api.items(f"{path}/receipts")
    assert row["endpoint_id"] == id_text(meant.endpoint_id)
    for name in ("received_at", "started_at"):
        assert abs((datetime.fromisoformat(row[name]) - datetime.now(UTC)).total_seconds()) < 3600
    shown: dict[str, Any] = await api.call("GET", path)
    assert shown["receipts"] == {"started": 1}
