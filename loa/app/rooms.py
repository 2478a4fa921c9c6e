"""What every process of a city has, whatever its role: the store, and the rooms that need nothing else."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from loa.app.live import Live, open_live
from loa.app.store import audio_folder, open_store
from loa.app.tasks import in_background
from loa.broadcast.content.audio_folder import AudioFolder
from loa.broadcast.content.ingest import Recipe
from loa.broadcast.content.library import Library, Limits
from loa.broadcast.content.scratch import own_scratch
from loa.broadcast.content.uploads import Uploads
from loa.broadcast.journal.feed import Feed
from loa.broadcast.journal.ledger import Ledger
from loa.broadcast.orders.receipts import Receipts
from loa.broadcast.people.people import People
from loa.broadcast.people.sessions import Lifetime
from loa.broadcast.people.shared_gate import SharedGate
from loa.broadcast.records import Endpoint
from loa.broadcast.registry.area_groups import AreaGroups
from loa.broadcast.registry.areas import Areas
from loa.broadcast.registry.endpoints import Endpoints
from loa.broadcast.registry.importer import Importer
from loa.broadcast.registry.reorganiser import Reorganiser
from loa.broadcast.store.broadcasts import Broadcasts
from loa.broadcast.store.database import Database
from loa.broadcast.store.programmes import Programmes
from loa.broadcast.store.remembered import Remembered
from loa.broadcast.store.tokens import Tokens
from loa.config import CoreConfig
from loa.control_api.bearer import BearerTokens
from loa.timing.clock import Clock


@dataclass(frozen=True, slots=True)
class Rooms:
    """The store and the rooms over it."""

    db: Database
    areas: Areas
    area_groups: AreaGroups
    reorganiser: Reorganiser
    importer: Importer
    endpoints: Endpoints
    programmes: Programmes
    library: Library
    uploads: Uploads
    broadcasts: Broadcasts
    receipts: Receipts
    tokens: BearerTokens
    people: People
    ledger: Ledger
    feed: Feed
    live: Live
    endpoint_of: Remembered[bytes, Endpoint]
    reach_of: Remembered[bytes, frozenset[bytes]]


async def open_rooms(config: CoreConfig, clock: Clock, stack: contextlib.AsyncExitStack) -> Rooms:
    """Open them; they are closed with the stack. ConfigError, StoreError."""
    db = await open_store(config)
    stack.push_async_callback(db.close)
    receipts = Receipts(db)
    stack.push_async_callback(receipts.close)
    audio = audio_folder(config)
    library = Library(
        db,
        await AudioFolder.open(audio),
        stack.enter_context(own_scratch(audio / "tmp")),
        recipe=Recipe(config.target_lufs, config.true_peak_dbtp, config.bitrate_bps, config.max_programme_s),
        limits=Limits(config.audio_quota_bytes, config.disk_reserve_bytes),
    )
    stack.push_async_callback(library.close)
    feed = Feed(db)
    await feed.open()
    in_background(stack, feed.run())
    live = open_live(config, clock, feed, stack)
    people = People(
        db,
        Lifetime(idle_ms=config.session_idle_s * 1000, absolute_ms=config.session_absolute_s * 1000),
        gate=None if live.line is None else SharedGate(live.line),
    )
    stack.callback(people.close)
    in_background(stack, people.keep_tidy(lambda: clock.utc_ns() // 1_000_000))
    areas, endpoints = Areas(db), Endpoints(db)
    return Rooms(
        db=db,
        areas=areas,
        area_groups=AreaGroups(db),
        reorganiser=Reorganiser(db),
        importer=Importer(db),
        endpoints=endpoints,
        programmes=Programmes(db),
        library=library,
        uploads=Uploads(config.uploads_at_once, config.uploads_per_caller),
        broadcasts=Broadcasts(db),
        receipts=receipts,
        tokens=BearerTokens(Tokens(db)),
        people=people,
        ledger=Ledger(db),
        feed=feed,
        live=live,
        endpoint_of=Remembered(db, endpoints.get),
        reach_of=Remembered(db, areas.reach),
    )
