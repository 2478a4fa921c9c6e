"""The backlog beside the stream that it is the end of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.listen.backlog import Backlog


@given(most=st.integers(1, 5), pieces=st.lists(st.binary(max_size=4), max_size=12), place=st.integers(-2, 60))
def test_it_is_the_end_of_the_stream(most: int, pieces: list[bytes], place: int) -> None:
    backlog = Backlog(most)
    for piece in pieces:
        backlog.append(piece)
    stream = b"".join(pieces)
    kept = [piece for piece in pieces if piece][-most:]
    assert backlog.end == len(stream)
    assert backlog.start == len(stream) - sum(map(len, kept))
    if backlog.start <= place <= backlog.end:
        assert backlog.since(place) == stream[place:]
    else:
        assert backlog.since(place) is None


@given(
    most=st.integers(1, 5),
    pieces=st.lists(st.binary(min_size=1, max_size=4), max_size=12),
    wanted=st.integers(0, 9),
)
def test_its_last_pieces_are_whole(most: int, pieces: list[bytes], wanted: int) -> None:
    backlog = Backlog(most)
    for piece in pieces:
        backlog.append(piece)
    last = pieces[-min(wanted, most) :] if min(wanted, most) else []
    assert backlog.since(backlog.place_of_last(wanted)) == b"".join(last)


def test_one_of_no_pieces_is_none() -> None:
    with pytest.raises(ValueError, match="0 pieces"):
        Backlog(0)
