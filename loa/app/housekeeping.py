"""The core's housekeeper, as the settings say."""

from __future__ import annotations

from loa.broadcast.content.library import Library
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.orders.folding import Folding
from loa.broadcast.registry.enrolment import Enrolments
from loa.broadcast.retention.chores import Kept, chores
from loa.broadcast.retention.housekeeper import Housekeeper
from loa.broadcast.store.database import Database
from loa.broadcast.store.tokens import Tokens
from loa.config import CoreConfig
from loa.timing.clock import Clock


def make_housekeeper(
    config: CoreConfig, clock: Clock, db: Database, ledger: Ledger, enrolments: Enrolments, library: Library
) -> Housekeeper:
    """A housekeeper with all that a core forgets."""
    kept = Kept(
        events_days=config.events_kept_days,
        keys_hours=config.keys_kept_hours,
        enrolments_days=config.enrolments_kept_days,
        tokens_days=config.tokens_kept_days,
        receipts_days=config.receipts_kept_days,
        programmes_days=config.programme_kept_days,
    )
    all_chores = chores(
        kept, ledger=ledger, enrolments=enrolments, tokens=Tokens(db), folding=Folding(db), library=library
    )
    return Housekeeper(all_chores, ledger, clock)
