"""Whatever is changed in a log, taken out of it or cut off it is found, and told by its number."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.journal.chain import GENESIS, Link, entry_text, next_hash
from loa.broadcast.journal.digest import Digest
from loa.broadcast.journal.export import MAX_LINE_BYTES, export_line, parse_line
from loa.broadcast.journal.proof import ChainProof
from loa.errors import AuditError, LoaError, WireError

DAY = date(2026, 11, 25)


def a_chain(length: int, salt: str = "") -> list[Link]:
    links: list[Link] = []
    for seq in range(1, length + 1):
        text = entry_text({"seq": seq, "what": f"việc {seq}{salt}"})
        links.append(Link(seq, text, next_hash(links[-1].hash if links else GENESIS, text)))
    return links


def digest_of(link: Link, days: int = 0) -> Digest:
    return Digest(DAY + timedelta(days=days), link.seq, link.hash, 1, 0)


def prove(links: list[Link], digests: list[Digest]) -> ChainProof:
    proof = ChainProof(digests)
    for link in links:
        proof.take(link)
    proof.end()
    return proof


@given(st.integers(0, 12), st.data())
def test_a_whole_log_holds_with_all_its_digests(length: int, data: st.DataObject) -> None:
    links = a_chain(length)
    digests = [digest_of(link) for link in links if data.draw(st.booleans())]
    proof = prove(links, digests)
    assert (proof.entries, proof.matched) == (length, len(digests))
    assert proof.last == (links[-1] if links else None)
    assert [parse_line(export_line(link)) for link in links] == links


@given(st.integers(2, 12), st.data())
def test_a_part_of_it_holds_behind_a_digest(length: int, data: st.DataObject) -> None:
    links = a_chain(length)
    start = data.draw(st.integers(1, length - 1))
    assert prove(links[start:], [digest_of(links[start - 1])]).entries == length - start
    with pytest.raises(AuditError, match=f"begins at entry {start + 1}"):
        prove(links[start:], [])
    with pytest.raises(AuditError, match=f"entry {start + 1} is not what was written"):
        prove(links[start:], [replace(digest_of(links[start - 1]), hash=bytes(32))])


@given(st.integers(2, 12), st.data())
def test_one_harm_is_found_and_named(length: int, data: st.DataObject) -> None:
    links = a_chain(length)
    digests = [digest_of(links[-1])]
    at = data.draw(st.integers(0, length - 1))
    kind = data.draw(st.sampled_from(["text", "hash", "out", "swapped", "cut off", "made anew"]))
    harmed = list(links)
    if kind == "text":
        harmed[at] = replace(links[at], entry=links[at].entry.replace("việc", "vIệc"))
    elif kind == "hash":
        harmed[at] = replace(links[at], hash=bytes(32))
    elif kind == "out":
        del harmed[at]
    elif kind == "swapped":
        other = (at + 1) % length
        harmed[at], harmed[other] = harmed[other], harmed[at]
    elif kind == "cut off":
        harmed = links[:at]
    else:
        harmed = a_chain(length, "!")
    named = {"text": f"entry {at + 1} ", "hash": f"entry {at + 1} ", "made anew": f"entry {length} "}
    with pytest.raises(AuditError, match=named.get(kind, r"\d")):
        prove(harmed, digests)


def test_what_was_cut_off_shows_only_against_a_digest() -> None:
    links = a_chain(5)
    assert prove(links[:3], []).last == links[2]
    with pytest.raises(AuditError, match="ends at entry 3, and the digest of 2026-11-26 tells of entry 4"):
        prove(links[:3], [digest_of(links[4], 2), digest_of(links[3], 1), digest_of(links[2])])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b'{"seq": "1", "entry": "", "hash": ""}',
        b'{"seq": 1, "entry": "", "hash": "00"}',
        b'{"seq": true, "entry": "", "hash": "' + b"00" * 32 + b'"}',
        b'{"seq": 1, "entry": {}, "hash": "' + b"00" * 32 + b'"}',
        b'{"seq": 1, "entry": "", "hash": "' + b"00" * 32 + b'", "more": 1}',
        b"[" * 100_000,
        b" " * (MAX_LINE_BYTES + 1),
        b"\xff",
    ],
)
def test_a_line_that_is_no_entry_is_refused(line: bytes) -> None:
    with pytest.raises(WireError):
        parse_line(line)


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_line_is_read_or_refused(line: bytes) -> None:
    with pytest.raises(LoaError):
        parse_line(line)


@given(st.text(st.characters(codec=None), max_size=20))
def test_any_text_survives_its_export(entry: str) -> None:
    link = Link(1, entry, bytes(32))
    assert parse_line(export_line(link)) == link
