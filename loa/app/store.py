"""Where a core's store is, for the core itself and for commands that work on it from the shell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loa.broadcast.store.address import sqlite_address
from loa.broadcast.store.copying import Tables
from loa.broadcast.store.database import Database
from loa.broadcast.store.unmigrated import known_revisions, reading
from loa.config import CoreConfig
from loa.errors import StoreError


def store_url(config: CoreConfig) -> str:
    """The address of the core's store."""
    return config.database_url or sqlite_address(config.data_dir / "loa.sqlite")


async def open_store(config: CoreConfig) -> Database:
    """The core's store, made when it is not there; StoreError, ConfigError."""
    return await Database.open(store_url(config))


def has_store(config: CoreConfig) -> bool:
    """Whether there is a store: a machine where keys are only signed has none, nor has a core before its start."""
    return bool(config.database_url) or (config.data_dir / "loa.sqlite").exists()


def audio_folder(config: CoreConfig) -> Path:
    """Where the sound of the core's programmes lies."""
    return config.audio_dir or config.data_dir / "audio"


@asynccontextmanager
async def opened_as_it_is(config: CoreConfig) -> AsyncIterator[Database]:
    """The core's store to look at: it is not brought up to date. StoreError when it is of another form."""
    url = store_url(config)
    async with reading(url) as connection:
        revision, newest = (await Tables.find(connection)).revision, known_revisions()[0]
    if revision != newest:
        raise StoreError(f"the store is of the form {revision}, and this Loa speaks of {newest}: loa check store")
    db = Database.unmigrated(url)
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def opened_store(config: CoreConfig) -> AsyncIterator[Database]:
    """The core's store for the length of a block; StoreError, ConfigError."""
    db = await open_store(config)
    try:
        yield db
    finally:
        await db.close()
