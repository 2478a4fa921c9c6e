"""The audit chain outside: one line of JSON an entry, `{"seq", "entry", "hash"}`, in the chain's order."""

from __future__ import annotations

import json

from loa.broadcast.journal.chain import Link
from loa.errors import WireError

MAX_LINE_BYTES = 8 * 2**20
_HASH_BYTES = 32


def export_line(link: Link) -> bytes:
    """The line of an entry, with its \\n."""
    said = {"seq": link.seq, "entry": link.entry, "hash": link.hash.hex()}
    return (json.dumps(said, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def parse_line(line: bytes) -> Link:
    """The entry on a line; WireError when it is none."""
    try:
        if len(line) > MAX_LINE_BYTES:
            raise ValueError("too long")
        said = json.loads(line.decode("utf-8", "surrogatepass"))
        seq, entry, digest = said["seq"], said["entry"], bytes.fromhex(said["hash"])
        if type(seq) is not int or type(entry) is not str or len(said) != 3 or len(digest) != _HASH_BYTES:
            raise ValueError("form")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireError("a line that is no entry of an audit log") from error
    return Link(seq, entry, digest)
