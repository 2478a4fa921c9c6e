"""Does an audit log hold, from its beginning to the end that its digests tell of? Pure; entries come one by one."""

from __future__ import annotations

from collections.abc import Iterable

from loa.broadcast.journal import chain
from loa.broadcast.journal.chain import Link
from loa.broadcast.journal.digest import Digest
from loa.errors import AuditError


class ChainProof:
    """Take every entry in its order, then `end`. AuditError names the first that does not hold."""

    def __init__(self, digests: Iterable[Digest] = ()) -> None:
        self._digests: dict[int, list[Digest]] = {}
        for digest in digests:
            self._digests.setdefault(digest.seq, []).append(digest)
        self.entries = 0
        self.matched = 0
        """How many digests agree with the log."""
        self.last: Link | None = None

    def take(self, link: Link) -> None:
        """The next entry. A log that does not begin at its beginning must begin right behind a digest."""
        if self.last is None and link.seq > 1:
            before = self._digests.get(link.seq - 1)
            if before is None:
                raise AuditError(f"the log begins at entry {link.seq}, and no digest tells of the one before it")
            self.last = Link(link.seq - 1, "", before[0].hash)
        self.last = chain.verify((link,), self.last)
        self.entries += 1
        for digest in self._digests.pop(link.seq, ()):
            if digest.contradicts(link):
                raise AuditError(f"entry {link.seq} is not the one that the digest of {digest.day} tells of")
            self.matched += 1

    def end(self) -> Link | None:
        """The newest entry, when there is all that the digests tell of; None for a log without one."""
        last_seq = 0 if self.last is None else self.last.seq
        beyond = [digest for seq, some in self._digests.items() if seq > last_seq for digest in some]
        if beyond:
            first = min(beyond, key=lambda digest: digest.seq)
            raise AuditError(
                f"the log ends at entry {last_seq}, and the digest of {first.day} tells of entry {first.seq}: "
                "what followed was cut off"
            )
        return self.last
