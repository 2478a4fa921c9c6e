"""Rights: what a grant gives, where it ends, and that no role has more than it is for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.people.rights import RIGHTS, SECOND_FACTOR, Grant, Principal, Right, Role, Withheld, held

CITY, COMMUNE, OTHER = b"city".ljust(16), b"commune".ljust(16), b"other".ljust(16)
IN_COMMUNE = (COMMUNE, CITY)
IN_OTHER = (OTHER, CITY)


def _one(role: Role, area_id: bytes | None) -> Principal:
    return Principal("token:p", "somebody", (Grant(role, area_id),))


def test_a_grant_holds_in_its_area_and_below_and_nowhere_else() -> None:
    officer = _one(Role.OFFICER, COMMUNE)
    assert officer.may(Right.BROADCASTS_ROUTINE, IN_COMMUNE)
    assert officer.may(Right.BROADCASTS_ROUTINE, (b"hamlet".ljust(16), *IN_COMMUNE))
    assert not officer.may(Right.BROADCASTS_ROUTINE, IN_OTHER)
    assert not officer.may(Right.BROADCASTS_ROUTINE, (CITY,))
    assert not officer.may(Right.BROADCASTS_ROUTINE, ())


def test_a_grant_everywhere_holds_where_there_is_no_area_too() -> None:
    assert _one(Role.ADMIN, None).may(Right.AREAS_WRITE, ())
    assert _one(Role.ADMIN, None).roots(Right.AREAS_WRITE) is None


def test_all_of_several_areas_must_be_reached() -> None:
    studio = _one(Role.STUDIO, COMMUNE)
    assert studio.may_in_all(Right.BROADCASTS_PRIORITY, [IN_COMMUNE])
    assert not studio.may_in_all(Right.BROADCASTS_PRIORITY, [IN_COMMUNE, IN_OTHER])


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.EMERGENCY, Role.ADMIN)])
def test_nobody_but_the_emergency_desk_and_the_administrator_raises_an_emergency(role: Role) -> None:
    assert Right.BROADCASTS_EMERGENCY not in RIGHTS[role]


def test_those_who_keep_the_devices_do_not_speak() -> None:
    assert not any(right.startswith("broadcasts.") and right != Right.BROADCASTS_READ for right in RIGHTS[Role.OPS])


def test_a_viewer_changes_nothing() -> None:
    assert all(right.endswith(".read") for right in RIGHTS[Role.VIEWER])


def test_every_role_is_told_its_rights() -> None:
    assert set(RIGHTS) == set(Role)


_areas = st.sampled_from([None, CITY, COMMUNE, OTHER])
_grants = st.lists(st.builds(Grant, st.sampled_from(Role), _areas), max_size=4).map(tuple)


@given(_grants, _grants, st.sampled_from(Right), st.sampled_from([(), (CITY,), IN_COMMUNE, IN_OTHER]))
def test_grants_add_up_and_none_takes_away(
    one: tuple[Grant, ...], two: tuple[Grant, ...], right: Right, path: tuple[bytes, ...]
) -> None:
    def may(grants: tuple[Grant, ...]) -> bool:
        return Principal("token:p", "somebody", grants).may(right, path)

    assert may(one + two) == (may(one) or may(two))


def test_a_one_time_password_opens_nothing_and_an_administrator_without_a_second_factor_looks_on() -> None:
    grants = (Grant(Role.ADMIN), Grant(Role.OFFICER, COMMUNE))
    assert held(grants, second_factor=True, must_change_password=True) == ((), Withheld.PASSWORD)
    less, why = held(grants, second_factor=False, must_change_password=False)
    assert (less, why) == ((Grant(Role.VIEWER), Grant(Role.VIEWER, COMMUNE)), Withheld.SECOND_FACTOR)
    assert held(grants, second_factor=True, must_change_password=False) == (grants, None)


@given(_grants, st.booleans(), st.booleans())
def test_what_is_held_is_never_more_than_what_was_granted(
    grants: tuple[Grant, ...], second_factor: bool, must_change: bool
) -> None:
    less, why = held(grants, second_factor=second_factor, must_change_password=must_change)
    granted = Principal("user:p", "p", grants)
    for right in Right:
        for path in ((), (CITY,), IN_COMMUNE, IN_OTHER):
            assert granted.may(right, path) or not Principal("user:p", "p", less).may(right, path)
    assert (why is None) == (less == grants) or not grants
    if not second_factor:
        assert not any(grant.role in SECOND_FACTOR for grant in less)


@given(_grants, st.sampled_from(Role), st.sampled_from([(), (CITY,), IN_COMMUNE, IN_OTHER]))
def test_a_grant_is_covered_by_all_of_its_rights_and_not_by_some(
    grants: tuple[Grant, ...], role: Role, path: tuple[bytes, ...]
) -> None:
    giver = Principal("user:p", "p", grants)
    covered = giver.covers(Grant(role, path[0] if path else None), path)
    assert covered == all(giver.may(right, path) for right in RIGHTS[role])
    assert covered or role not in {grant.role for grant in grants if grant.area_id is None}
