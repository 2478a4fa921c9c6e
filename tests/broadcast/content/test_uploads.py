"""The table of uploads: bounded, each owner's own, and forgotten after a while."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.content import uploads as module
from loa.broadcast.content.progress import SharedProgress, Stage
from loa.broadcast.content.uploads import KEPT_MS, TooManyUploads, Upload, Uploads, UploadState
from loa.broadcast.content.worker import Work
from loa.errors import Conflict, NotFound

ONE, TWO, THREE = (bytes([number]) * 16 for number in (1, 2, 3))


def test_an_upload_is_told_of_from_its_first_byte_to_its_programme() -> None:
    uploads = Uploads(2, 2)
    upload = uploads.begin(ONE, "lan", 1000, 5)
    assert upload.view() == (UploadState.RECEIVING, 0.0)
    upload.received_bytes = 250
    assert upload.view() == (UploadState.RECEIVING, 0.25)
    upload.received_bytes = 2000
    assert upload.view() == (UploadState.RECEIVING, 1.0)
    shared = SharedProgress()
    upload.work = Work(7, Future(), shared)
    assert upload.view() == (UploadState.QUEUED, 0.0)
    shared.tell(7, Stage.MEASURING, 0.5)
    state, share = upload.view()
    assert (state, round(share or 0, 3)) == (UploadState.MEASURING, 0.5)
    shared.tell(7, Stage.ENCODING, 1)
    assert upload.view() == (UploadState.ENCODING, 1.0)
    upload.succeed(TWO, 9)
    assert upload.view() == (UploadState.DONE, 1.0)
    assert uploads.get(ONE, "lan", 9 + KEPT_MS) is upload
    with pytest.raises(NotFound):
        uploads.get(ONE, "lan", 10 + KEPT_MS)


def test_what_is_expected_may_not_be_known() -> None:
    assert Upload(ONE, "lan", 0, None, received_bytes=5).view() == (UploadState.RECEIVING, None)


def test_an_upload_is_its_owners_and_nobody_elses() -> None:
    uploads = Uploads(4, 2)
    mine, theirs = uploads.begin(ONE, "lan", None, 0), uploads.begin(ONE, "minh", None, 0)
    assert uploads.get(ONE, "lan", 0) is mine
    assert uploads.get(ONE, "minh", 0) is theirs
    with pytest.raises(NotFound):
        uploads.get(ONE, "hoa", 0)


def test_there_are_only_so_many_at_once() -> None:
    uploads = Uploads(3, 2)
    first = uploads.begin(ONE, "lan", None, 0)
    with pytest.raises(Conflict, match="under way"):
        uploads.begin(ONE, "lan", None, 0)
    uploads.begin(TWO, "lan", None, 0)
    with pytest.raises(TooManyUploads, match="you have") as caught:
        uploads.begin(THREE, "lan", None, 0)
    assert caught.value.own
    uploads.begin(ONE, "minh", None, 0)
    with pytest.raises(TooManyUploads) as caught:
        uploads.begin(ONE, "hoa", None, 0)
    assert not caught.value.own
    first.fail("not-audio", "no sound", 1)
    assert first.view() == (UploadState.FAILED, None)
    again = uploads.begin(ONE, "lan", None, 2)
    assert uploads.get(ONE, "lan", 2) is again


Step = tuple[str, int, int, int]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["begin", "end"]), st.integers(0, 2), st.integers(0, 5), st.integers(0, 2 * KEPT_MS)
        ),
        max_size=40,
    )
)
def test_it_never_holds_more_than_it_may(steps: list[Step]) -> None:
    uploads, now_ms = Uploads(3, 2), 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_ENDED", 4)
        for what, owner, number, later_ms in steps:
            now_ms += later_ms
            key = (bytes([number]) * 16, f"owner {owner}")
            before = list(uploads._known.values())
            try:
                if what == "begin":
                    uploads.begin(*key, None, now_ms)
                else:
                    uploads.get(*key, now_ms).succeed(ONE, now_ms)
            except (NotFound, Conflict, TooManyUploads):
                pass
            under_way = [upload for upload in uploads._known.values() if upload.ended_ms is None]
            assert len(under_way) <= 3
            assert all(sum(upload.owner == each.owner for upload in under_way) <= 2 for each in under_way)
            assert len(uploads._known) <= len(under_way) + 4 + 1
            assert all(each in uploads._known.values() for each in before if each.ended_ms is None)
