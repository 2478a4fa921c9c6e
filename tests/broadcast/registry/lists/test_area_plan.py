"""What a list comes to: each row an area, and what is wrong told with its line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.broadcast.geometry import Position
from loa.broadcast.records import Area
from loa.broadcast.registry.lists.area_plan import Action, AreaImportPlan, plan_areas
from loa.broadcast.registry.lists.rows import AreaList, AreaRow, RowError
from loa.broadcast.registry.tree import Tree
from loa.errors import PlaceError

NOW_MS = 1_790_000_000_000


def an_area(number: int, parent: int | None, name: str, code: str | None = None, level: str = "x") -> Area:
    area_id = number.to_bytes(16, "big")
    return Area(area_id, None if parent is None else parent.to_bytes(16, "big"), name, level, code, 1, 1)


TREE = {
    area.id: area
    for area in (
        an_area(1, None, "Hải Phòng", "31"),
        an_area(2, 1, "Kiến An", "307"),
        an_area(3, 2, "Phù Liễn", "11359"),
        an_area(4, 1, "Cát Hải"),
        an_area(5, 2, "Thôn 1"),
        an_area(6, 4, "Thôn 1"),
    )
}


def plan(*rows: AreaRow, under: int | None = None, tree: dict[bytes, Area] | None = None) -> AreaImportPlan:
    top = None if under is None else under.to_bytes(16, "big")
    return plan_areas(AreaList(rows), TREE if tree is None else tree, {}, under=top, now_ms=NOW_MS)


def errors(*rows: AreaRow, under: int | None = None) -> list[tuple[int, str]]:
    return [(error.line, error.message) for error in plan(*rows, under=under).errors]


def test_an_area_is_known_by_its_code_and_else_by_its_name_in_its_place() -> None:
    found = plan(
        AreaRow(2, "Phù Liễn mới", "11359"),
        AreaRow(3, "Cát Hải", "317", parent="31"),
        AreaRow(4, "Thôn 1", parent="Kiến An", position=Position(20, 106)),
        AreaRow(5, "Thôn 2", None, "hamlet", "kien an"),
        AreaRow(6, "Kiến An", "307", "district", "31"),
    )
    assert found.errors == ()
    by_line = {each.line: (each.action, each.area and each.area.id[-1], each.changes) for each in found.areas}
    assert by_line == {
        2: (Action.UPDATE, 3, ("name",)),
        3: (Action.UPDATE, 4, ("code",)),
        4: (Action.UPDATE, 5, ("position",)),
        5: (Action.CREATE, None, ()),
        6: (Action.UPDATE, 2, ("level",)),
    }
    assert {each and each[-1] for each in found.touched} == {1, 2, 3, 4, 5}


def test_a_list_may_stand_in_any_order_and_is_put_where_it_is_said() -> None:
    rows = (
        AreaRow(2, "Thôn", None, "hamlet", "XA"),
        AreaRow(3, "Xã", "XA", "commune", "Quận"),
        AreaRow(4, "Quận", None, "district"),
    )
    found = plan(*rows, under=1)
    assert [each.line for each in found.areas] == [4, 3, 2]
    assert [each.parent for each in found.areas] == [(1).to_bytes(16, "big"), 4, 3]
    assert plan(*rows).areas[0].parent is None


def test_what_cannot_be_told_is_asked_for_by_its_line() -> None:
    assert errors(AreaRow(2, "A", parent="nowhere", level="x")) == [(2, "no area has the code or the name nowhere")]
    assert errors(AreaRow(2, "A", parent="Thôn 1", level="x")) == [
        (2, "there are 2 areas called Thôn 1: name its parent by a code")
    ]
    assert errors(AreaRow(2, "Kiến An", None, "x", "kien an")) == [
        (2, "it is called as its parent is: name its parent by a code")
    ]
    assert errors(AreaRow(2, "A")) == [(2, "a new area has a level")]
    assert errors(AreaRow(2, "A", "1", level="x"), AreaRow(3, "B", "1", level="x")) == [
        (3, "the code 1 stands on line 2 too")
    ]
    assert errors(AreaRow(2, "A", level="x"), AreaRow(3, "A", level="x")) == [
        (3, "line 2 is about the same name in the same place")
    ]
    assert errors(AreaRow(2, "Kiến An", "307"), AreaRow(3, "Kiến An"), under=1) == [
        (3, "line 2 is about the same area, Kiến An")
    ]
    assert errors(AreaRow(2, "A", valid_from_ms=NOW_MS + 1, level="x")) == [
        (2, "an area is valid from now on or from an earlier day")
    ]


def test_a_row_below_a_wrong_one_is_wrong_too() -> None:
    assert errors(
        AreaRow(2, "A", "A", parent="nowhere", level="x"), AreaRow(3, "B", "B", parent="A", level="x")
    ) == [
        (2, "no area has the code or the name nowhere"),
        (3, "line 2, on which its parent stands, is wrong"),
    ]


def test_no_area_comes_to_stand_below_itself() -> None:
    loop = [AreaRow(line, f"n{line}", f"c{line}", "x", f"c{(line + 1) % 3}") for line in range(3)]
    assert {line for line, _ in errors(*loop)} == {0, 1, 2}
    assert errors(AreaRow(2, "A", "A", "x", "A")) == [(2, "it stands below itself")]
    assert errors(AreaRow(2, "Kiến An", "307", parent="11359")) == [(2, "it stands below itself")]


def test_no_tree_becomes_too_deep() -> None:
    chain = [AreaRow(n, f"n{n}", f"c{n}", "x", f"c{n - 1}" if n else None) for n in range(20)]
    found = plan(*chain, under=1)
    assert [error.line for error in found.errors] == [15, 16, 17, 18, 19]
    deep = {
        area.id: area
        for area in (an_area(n, n - 1 if n > 100 else None, f"d{n}", f"d{n}") for n in range(100, 114))
    }
    moved = plan(AreaRow(2, "d100", "d100", parent="11359"), tree=TREE | deep)
    assert moved.errors == (RowError(2, "what stands below it would stand too deep"),)


def test_twenty_thousand_rows_that_hang_on_each_other_are_no_burden() -> None:
    chain = [AreaRow(n, "same", f"c{n}", "x", f"c{n + 1}") for n in range(20_000)]
    assert len(plan(*chain).errors) == 20_000
    same = [AreaRow(n, "same", None, "x", "same") for n in range(20_000)]
    assert len(plan(*same).errors) == 20_000


def test_one_name_twice_in_a_place_is_warned_of_when_codes_tell_them_apart() -> None:
    found = plan(AreaRow(2, "Kiến An", "999", "x", "31"))
    assert [(each.action, each.code) for each in found.areas] == [(Action.CREATE, "999")]
    assert found.warnings == (RowError(2, "there is another Kiến An in the same place"),)


def test_an_area_does_not_begin_before_its_parent() -> None:
    found = plan(AreaRow(2, "A", "A", "x", valid_from_ms=5), AreaRow(3, "B", "B", "x", "A", valid_from_ms=3))
    assert [each.valid_from_ms for each in found.areas] == [5, 5]
    assert found.warnings == (RowError(3, "it begins when its parent does, which is later"),)


def test_nothing_can_be_put_where_no_area_is() -> None:
    with pytest.raises(PlaceError, match="cannot be put"):
        plan(AreaRow(2, "A", level="x"), under=99)


def applied(tree: dict[bytes, Area], found: AreaImportPlan) -> dict[bytes, Area]:
    """The tree that the plan makes."""
    ids = {each.line: (1_000_000 + each.line).to_bytes(16, "big") for each in found.of(Action.CREATE)}
    after = dict(tree)
    for each in found.areas:
        parent = ids[each.parent] if isinstance(each.parent, int) else each.parent
        base = each.area or Area(ids[each.line], None, "", "", None, NOW_MS, each.valid_from_ms)
        after[base.id] = replace(
            base, parent_id=parent, name=each.name, level=each.level, code=each.code, position=each.position
        )
    return after


_names = st.sampled_from(["A", "B", "C", "Á"])
_codes = st.sampled_from([None, "1", "2", "3", "4", "5"])
_rows = st.builds(
    AreaRow,
    line=st.just(0),
    name=_names,
    code=_codes,
    level=st.sampled_from([None, "x", "y", "y"]),
    parent=st.sampled_from([None, None, "1", "2", "3", "A", "B", "á"]),
    position=st.sampled_from([None, Position(1, 1), Position(2, 2)]),
)


@settings(max_examples=400)
@given(st.lists(_rows, max_size=6), st.lists(_rows, max_size=6))
def test_a_plan_makes_a_tree_and_the_same_list_again_changes_nothing(
    first: list[AreaRow], second: list[AreaRow]
) -> None:
    tree: dict[bytes, Area] = {}
    for start, rows in ((0, first), (100, second)):
        given_ = AreaList([replace(row, line=start + n) for n, row in enumerate(rows, 1)])
        found = plan_areas(given_, tree, {}, under=None, now_ms=NOW_MS)
        lines = [each.line for each in found.areas] + [error.line for error in found.errors]
        assert set(lines) == {row.line for row in given_.rows}
        if found.errors:
            continue
        before = set(tree)
        tree = applied(tree, found)
        assert before <= set(tree)
        Tree({area.id: area.parent_id for area in tree.values()}).check()
        codes = [area.code for area in tree.values() if area.code is not None]
        assert len(codes) == len(set(codes))
        again = plan_areas(given_, tree, {}, under=None, now_ms=NOW_MS + 1)
        assert again.errors == ()
        assert {each.action for each in again.areas} <= {Action.UNCHANGED}
