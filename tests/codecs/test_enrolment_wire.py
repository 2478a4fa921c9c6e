import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.codecs import enrolment_wire
from loa.codecs.enrolment_wire import EnrolmentCode, from_base64, to_base64
from loa.codecs.human_text import ALPHABET
from loa.errors import WireError

codes = st.text(ALPHABET, min_size=20, max_size=20).map(lambda t: EnrolmentCode(t[:5], t[5:]))


@given(codes)
def test_a_code_reads_as_it_is_shown(code: EnrolmentCode) -> None:
    assert EnrolmentCode.parse(code.text) == code
    assert [len(group) for group in code.text.split("-")] == [5, 5, 5, 5]


@given(codes, st.data())
def test_how_a_person_types_a_code_does_not_matter(code: EnrolmentCode, data: st.DataObject) -> None:
    typed = ""
    for character in code.text.replace("-", ""):
        spellings = {"1": "1IiLl", "0": "0Oo"}.get(character, character + character.lower())
        typed += data.draw(st.sampled_from(spellings)) + data.draw(
            st.sampled_from(("", "", "-", " ", "\t", "\n", "\xa0"))
        )
    assert EnrolmentCode.parse(typed) == code


@pytest.mark.parametrize(
    "text", ["", "-", "0" * 19, "0" * 21, "0" * 19 + "U", "0" * 19 + "!", "0" * 18 + "ß", "0" * 19 + "ı", "０" * 20]
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(WireError, match="enrolment code"):
        EnrolmentCode.parse(text)


def test_new_codes_differ_and_do_not_show_their_secret() -> None:
    made = [EnrolmentCode.generate() for _ in range(50)]
    assert len({code.text for code in made}) == 50
    assert all(EnrolmentCode.parse(code.text) == code for code in made)
    assert all(code.secret not in repr(code) for code in made)


@given(codes, codes)
def test_keys_of_two_codes_differ(one: EnrolmentCode, other: EnrolmentCode) -> None:
    assert (one.key() == other.key()) is (one == other)
    assert len(one.key()) == 32


def test_both_macs_cover_every_part() -> None:
    key = bytes(32)
    claim = {"code_id": "ABCDE", "device_key": bytes(32), "nonce": bytes(16), "kind": "speaker"}
    answer = {
        "nonce": bytes(16),
        "endpoint_id": bytes(16),
        "root_key": bytes(32),
        "key_list": b"list",
        "placement": b"place",
    }

    def claim_mac(**changes: object) -> bytes:
        return enrolment_wire.claim_mac(key, **{**claim, **changes})  # type: ignore[arg-type]

    def answer_mac(**changes: bytes) -> bytes:
        return enrolment_wire.answer_mac(key, **{**answer, **changes})

    tags = [
        claim_mac(),
        claim_mac(code_id="ABCDF"),
        claim_mac(device_key=b"x" * 32),
        claim_mac(nonce=b"x" * 16),
        claim_mac(kind="board"),
        answer_mac(),
        answer_mac(nonce=b"x" * 16),
        answer_mac(endpoint_id=b"x" * 16),
        answer_mac(root_key=b"x" * 32),
        answer_mac(key_list=b"lis", placement=b"tplace"),
        answer_mac(placement=b"other"),
    ]
    assert len(set(tags)) == len(tags)


@given(st.binary(max_size=100))
def test_bytes_in_json_come_back(data: bytes) -> None:
    text = to_base64(data)
    assert "=" not in text
    assert from_base64(text, size=len(data)) == data


@pytest.mark.parametrize(
    "text", ["A", "AA==", "AB", "AAA=", "+/+/", "A A A", "AAAA\n", "ÀAAA", "AAAA====", "=", "--=-"]
)
def test_bytes_in_json_have_one_form(text: str) -> None:
    with pytest.raises(WireError, match="base64url"):
        from_base64(text)


def test_bytes_in_json_have_a_length() -> None:
    with pytest.raises(WireError, match="3 bytes"):
        from_base64("AAAA", size=4)
    with pytest.raises(WireError, match="3 bytes"):
        from_base64("AAAA", most=2)
