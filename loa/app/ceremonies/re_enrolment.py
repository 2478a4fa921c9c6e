"""The root key is lost: which devices must be enrolled again, and codes for all of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from loa.app.ceremonies.code_sheet import code_sheet
from loa.app.store import has_store, opened_store
from loa.broadcast.journal.act import Act
from loa.broadcast.orders.key_files import replaced_ms
from loa.broadcast.registry.re_enrolment import LeftBehind, enrol_again, left_behind
from loa.config import CoreConfig
from loa.errors import ConfigError


async def devices_left_behind(config: CoreConfig) -> list[LeftBehind]:
    """The devices that believe an earlier root than the one in the core's folder. StoreError; ConfigError."""
    since_ms = replaced_ms(config.data_dir / "keys")
    if since_ms is None or not has_store(config):
        return []
    async with opened_store(config) as db:
        return await left_behind(db, since_ms)


def by_area(devices: list[LeftBehind]) -> dict[tuple[str, ...], int]:
    """How many of them stand in each area."""
    return dict(Counter(device.place for device in devices))


async def list_devices(config: CoreConfig, path: Path) -> int:
    """Write the devices to a new CSV file, without codes; how many. StoreError; ConfigError."""
    devices = await devices_left_behind(config)
    with code_sheet(path) as sheet:
        sheet.list(devices)
    return len(devices)


async def new_codes(config: CoreConfig, path: Path, act: Act, valid_s: int) -> int:
    """A new code for each of them, in a new CSV file; how many. StoreError; ConfigError.

    It can be done again after it was cut off: who has a code in a file already is not given another.
    """
    since_ms = replaced_ms(config.data_dir / "keys")
    if since_ms is None:
        raise ConfigError("the root key of this core was never replaced: no device has to be enrolled again")
    with code_sheet(path) as sheet:
        async with opened_store(config) as db:
            return await enrol_again(db, await left_behind(db, since_ms), act, valid_s, sheet.add)
