"""Another root key in the place of one that is lost: new keys are made ready beside the old, then change places.

Until then nothing is changed; afterwards the old folder stays beside the new one, under a name with the time.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from loa.broadcast.orders import key_files
from loa.broadcast.orders.key_exchange import install_grant, make_request
from loa.broadcast.orders.key_files import KEY_LIST, LOCK_WAIT_S, REPLACED
from loa.broadcast.orders.keyring import KeyRing
from loa.durable import sync_folder
from loa.errors import ConfigError


def request_of_new_root(folder: Path, now_s: int) -> bytes:
    """A request to a root that is kept elsewhere, and is to take the place of the one of `folder`; ConfigError."""
    return make_request(key_files.fresh_folder(folder), now_s)


def replace_root(
    folder: Path, now_ms: int, *, grant: bytes | None = None, root_fingerprint: str | None = None
) -> Path:
    """Put keys of another root in the place of those in `folder`; where the old ones are kept.

    Without `grant` the root is made here, and lies in `folder` until it is taken away. With it, it is the answer to
    `request_of_new_root`, of the root whose fingerprint a person typed. ConfigError; then the old keys stay.
    """
    fresh = key_files.fresh_folder(folder)
    key_files.finish_replacing(folder)
    with key_files.alone(folder, LOCK_WAIT_S):
        if not (folder / KEY_LIST).exists():
            raise ConfigError(f"{folder} holds no keys that could be replaced")
        if grant is not None:
            install_grant(fresh, grant, now_ms // 1000, root_fingerprint=root_fingerprint)
        else:
            if fresh.exists():
                shutil.rmtree(fresh)  # left by an attempt that came to no end
            KeyRing.open(fresh, now_ms // 1000)
        key_files.write(fresh / REPLACED, str(now_ms).encode())
        kept = folder.with_name(f"{folder.name}.replaced-{_stamp(now_ms)}")
        if kept.exists():
            raise ConfigError(f"{kept} is there already: try again in a second")
        folder.replace(kept)
        fresh.replace(folder)
        sync_folder(folder.parent)
    return kept


def _stamp(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
