"""What an endpoint answers to orders, written into its outbox as it happens."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from loa.codecs.link_wire import Receipt
from loa.edge.speaker.playout import Finished, Started
from loa.edge.speaker.receipts_outbox import ReceiptsOutbox
from loa.edge.speaker.trusted_time import TrustedTime
from loa.errors import StoreError
from loa.model import ReceiptState

_log = structlog.get_logger("speaker")


class ReceiptWriter:
    """Writes receipts with the trusted time. A disk that fails is counted, and silences nothing."""

    def __init__(self, outbox: ReceiptsOutbox, trusted: TrustedTime) -> None:
        self.failures = 0
        """How often something could not be written."""
        self._outbox = outbox
        self._trusted = trusted

    def put(
        self, order_id: bytes, state: ReceiptState, now_ns: int, *, more: bool = False, **fields: object
    ) -> None:
        """Write a receipt. `more`: another follows at once, and they go to the disk together."""
        at_ms = self._trusted.utc_ms(now_ns) or 0
        receipt = Receipt(order_id, state, at_ms, **fields)  # type: ignore[arg-type]
        self.keep(lambda: self._outbox.put(receipt, more=more))

    def put_event(self, event: Started | Finished, now_ns: int) -> None:
        """Write what the output has done, for every order that asked for it."""
        for order_id in event.order_ids:
            if isinstance(event, Started):
                self.put(
                    order_id,
                    ReceiptState.STARTED,
                    now_ns,
                    presented_ns=event.presented_ns,
                    index=event.index,
                    error_ns=event.error_ns,
                )
            else:
                self.put(order_id, ReceiptState.FINISHED, now_ns, result=event.result)
        _log.info(
            "started" if isinstance(event, Started) else f"finished: {event.reason}",
            orders=[order_id.hex() for order_id in event.order_ids],
        )

    def keep(self, write: Callable[[], object]) -> None:
        """Do what writes to the disk."""
        try:
            write()
        except StoreError as error:
            self.failures += 1
            _log.error("state not written", error=str(error))
