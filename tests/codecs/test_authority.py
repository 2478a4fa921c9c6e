import dataclasses
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loa.codecs import canonical, signed
from loa.codecs.authority import (
    ALL_RIGHTS,
    MAX_KEYS,
    MAX_REVOKED,
    Authority,
    Certificate,
    KeyEntry,
    KeyList,
    Right,
    open_key_list,
)
from loa.codecs.signed import Kind, SigningKey
from loa.errors import AuthorityError, Refused, WireError

ROOT = SigningKey(b"r" * 32)
KEYS = [SigningKey(bytes((n,)) * 32) for n in range(5)]
AREAS = [bytes((n,)) * 16 for n in range(3)]
NOW = 1000

rights = st.integers(0, int(ALL_RIGHTS)).map(Right)
likely_rights = st.just(ALL_RIGHTS) | st.just(Right.ORDER | Right.DELEGATE) | rights
times = st.sampled_from((0, NOW - 1, NOW, NOW + 1, 2000, 2000, 2000))
areas = st.lists(st.sampled_from(AREAS), min_size=1, max_size=3, unique=True).map(tuple)


@st.composite
def key_lists(draw: st.DrawFn) -> KeyList:
    listed = draw(st.lists(st.sampled_from(KEYS), unique_by=id, max_size=4))
    entries = tuple(KeyEntry(key.public_key, draw(likely_rights), draw(times)) for key in listed)
    revoked = tuple(key.key_id for key in draw(st.lists(st.sampled_from(KEYS), unique_by=id, max_size=1)))
    return KeyList(draw(st.integers(1, 2**63 - 1)), 0, draw(times), entries, revoked)


@st.composite
def certificates(draw: st.DrawFn) -> tuple[SigningKey, Certificate]:
    """An issuer, and what it certifies."""
    issuer, subject = draw(st.sampled_from(KEYS)), draw(st.sampled_from(KEYS))
    start = draw(st.sampled_from((0, 0, 0, NOW, NOW + 1)))
    return issuer, Certificate(subject.public_key, draw(likely_rights), draw(areas), start, draw(times), 1)


def may(
    key_list: KeyList,
    signer: SigningKey,
    chain: list[tuple[SigningKey, Certificate]],
    right: Right,
    place: list[bytes],
) -> bool:
    """The rule of docs/protocol.md, *Authority*, word by word, over facts and not over bytes."""
    if key_list.expires_s < NOW:
        return False

    def listed(key: SigningKey, wanted: Right) -> bool:
        return key.key_id not in key_list.revoked and any(
            entry.public_key == key.public_key and entry.not_after_s >= NOW and entry.rights & wanted == wanted
            for entry in key_list.keys
        )

    if not chain:
        return listed(signer, right)
    if len(chain) > 2 or not listed(chain[0][0], right | Right.DELEGATE):
        return False
    subjects = [certificate.public_key for _, certificate in chain]
    if subjects[-1] != signer.public_key:
        return False
    if any(subject != issuer.public_key for subject, (issuer, _) in zip(subjects, chain[1:], strict=False)):
        return False
    if any(not certificate.rights & Right.DELEGATE for _, certificate in chain[:-1]):
        return False
    return all(
        certificate.rights & right == right
        and certificate.not_before_s <= NOW <= certificate.not_after_s
        and signed.key_id(certificate.public_key) not in key_list.revoked
        and any(area in place for area in certificate.areas)
        for _, certificate in chain
    )


@st.composite
def linked_chains(draw: st.DrawFn) -> tuple[SigningKey, list[tuple[SigningKey, Certificate]]]:
    """A chain that mostly hangs together, and a signer that mostly is its end."""
    chain = draw(st.lists(certificates(), max_size=3))
    if draw(st.integers(0, 5)):
        by_public = {key.public_key: key for key in KEYS}
        tied = chain[:1]
        for (_, before), (_, after) in pairwise(chain):
            tied.append((by_public[before.public_key], after))
        chain = tied
        signer = by_public[chain[-1][1].public_key] if chain else draw(st.sampled_from(KEYS))
        return signer, chain
    return draw(st.sampled_from(KEYS)), chain


ALL = KeyEntry(KEYS[0].public_key, ALL_RIGHTS, 2000)
FIRST = (KEYS[0], Certificate(KEYS[1].public_key, ALL_RIGHTS, (AREAS[0],), 0, 2000, 1))
UNDELEGATED = (KEYS[0], dataclasses.replace(FIRST[1], rights=Right.ORDER))
SECOND = (KEYS[1], Certificate(KEYS[2].public_key, Right.ORDER, (AREAS[1],), 0, 2000, 1))


@settings(max_examples=400, deadline=None)
@given(
    key_lists(),
    linked_chains(),
    st.sampled_from((Right.ORDER, Right.ORDER | Right.EMERGENCY, Right.LINK)),
    st.lists(st.sampled_from(AREAS), max_size=3),
)
@example(KeyList(1, 0, 2000, (ALL,)), (KEYS[2], [FIRST, SECOND]), Right.ORDER, AREAS)
@example(KeyList(1, 0, 2000, (ALL,)), (KEYS[2], [UNDELEGATED, SECOND]), Right.ORDER, AREAS)
@example(KeyList(1, 0, 2000, (ALL,)), (KEYS[2], [FIRST, SECOND]), Right.ORDER, AREAS[1:])
@example(KeyList(1, 0, 2000, (ALL,)), (KEYS[2], [SECOND, FIRST]), Right.ORDER, AREAS)
def test_entitled_is_the_rule_of_the_protocol(
    key_list: KeyList,
    chained: tuple[SigningKey, list[tuple[SigningKey, Certificate]]],
    right: Right,
    place: list[bytes],
) -> None:
    signer, chain = chained
    authority = Authority(ROOT.public_key, key_list.seal(ROOT))
    envelope = signed.parse(signed.seal(Kind.ORDER, signer, b"order"), Kind.ORDER)
    sealed = [certificate.seal(issuer) for issuer, certificate in chain]
    try:
        authority.entitled(envelope, right, utc_s=NOW, place=place, chain=sealed)
        entitled = True
    except Refused:
        entitled = False
    assert entitled == may(key_list, signer, chain, right, place)


@settings(deadline=None)
@given(key_lists())
def test_a_key_list_decodes_to_itself(key_list: KeyList) -> None:
    assert KeyList.decode(key_list.encode()) == key_list
    assert open_key_list(key_list.seal(ROOT), ROOT.public_key) == key_list


@given(certificates())
def test_a_certificate_decodes_to_itself(made: tuple[SigningKey, Certificate]) -> None:
    assert Certificate.decode(made[1].encode()) == made[1]


def test_a_key_list_of_the_largest_size_fits_an_envelope() -> None:
    entries = tuple(
        KeyEntry(SigningKey(bytes((n,)) * 32).public_key, ALL_RIGHTS, 2**63 - 1) for n in range(MAX_KEYS)
    )
    revoked = tuple(n.to_bytes(8, "big") for n in range(MAX_REVOKED))
    full = KeyList(2**63 - 1, 2**63 - 1, 2**63 - 1, entries, revoked)
    assert open_key_list(full.seal(ROOT), ROOT.public_key) == full
    with pytest.raises(WireError, match="17 values"):
        KeyList.decode(dataclasses.replace(full, keys=(*entries, ALL)).encode())


def test_a_key_cannot_stand_twice_in_a_list() -> None:
    with pytest.raises(WireError, match="twice"):
        KeyList.decode(KeyList(1, 0, 2000, (ALL, dataclasses.replace(ALL, not_after_s=1))).encode())


def test_the_version_of_the_list_never_goes_back() -> None:
    lists = {version: KeyList(version, 0, 2000, (ALL,)).seal(ROOT) for version in (4, 5, 6)}
    authority = Authority(ROOT.public_key, lists[5])
    assert not authority.update(lists[4])
    assert not authority.update(lists[5])
    assert authority.key_list.version == 5
    assert authority.update(lists[6])
    assert (authority.key_list.version, authority.key_list_envelope) == (6, lists[6])
    assert not authority.update(lists[5])


def test_a_list_of_the_same_version_but_other_contents_is_not_taken() -> None:
    authority = Authority(ROOT.public_key, KeyList(5, 0, 2000, ()).seal(ROOT))
    assert not authority.update(KeyList(5, 0, 2000, (ALL,)).seal(ROOT))
    assert authority.key_list.keys == ()


def test_a_list_that_the_root_did_not_sign_changes_nothing() -> None:
    authority = Authority(ROOT.public_key, KeyList(1, 0, 2000, (ALL,)).seal(ROOT))
    with pytest.raises(AuthorityError):
        authority.update(KeyList(2, 0, 2000, ()).seal(KEYS[0]))
    with pytest.raises(AuthorityError):
        Authority(KEYS[0].public_key, authority.key_list_envelope)
    assert authority.key_list.version == 1


def test_a_certificate_with_a_field_too_many_is_malformed_in_a_chain() -> None:
    authority = Authority(ROOT.public_key, KeyList(1, 0, 2000, (ALL,)).seal(ROOT))
    body = canonical.decode(FIRST[1].encode(), max_bytes=1000)
    assert isinstance(body, dict)
    sealed = signed.seal(Kind.CERTIFICATE, KEYS[0], canonical.encode({**body, 7: 1}))
    envelope = signed.parse(signed.seal(Kind.ORDER, KEYS[1], b"order"), Kind.ORDER)
    for chain in ([sealed], [b""], [signed.seal(Kind.ORDER, KEYS[0], FIRST[1].encode())]):
        with pytest.raises(Refused) as caught:
            authority.entitled(envelope, Right.ORDER, utc_s=NOW, place=AREAS, chain=chain)
        assert caught.value.reason == "malformed"
