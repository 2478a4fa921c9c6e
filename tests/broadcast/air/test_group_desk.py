"""Which group an endpoint is offered, and what its word for it does."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from loa.broadcast.air.door import Door
from loa.broadcast.air.group_desk import HEARD_AGAIN_NS, GroupDesk, group_of
from loa.broadcast.air.mailing import AT_ONCE, Mailing
from loa.broadcast.air.media_port import Address, Command, GroupRoute, UseGroups
from loa.broadcast.air.session import Session
from loa.codecs.group_wire import GroupMessage, Hearing
from loa.timing.clock import VirtualClock
from tests.broadcast.air.sessions import Wire, session

CITY, DISTRICT, COMMUNE, OTHER = (bytes((n,)) * 16 for n in range(1, 5))


def route(number: int, *, source: str = "", ttl: int = 8) -> GroupRoute:
    return GroupRoute(f"232.1.0.{number}", 5004, ttl, "", False, source)


class Desk:
    """A desk with its sessions; what the media process and the director are told."""

    def __init__(self, *sessions: Session, own_source: str = "") -> None:
        self.commands: list[Command] = []
        self.told = asyncio.Event()
        self.clock = VirtualClock()
        self.changes: list[tuple[Session, Door, Door, Address | None]] = []
        self.desk = GroupDesk(
            lambda: sessions,
            mailing=Mailing(),
            clock=self.clock,
            tell_media=self.tell,
            door_changed=self.changed,
            own_source=own_source,
        )

    def tell(self, command: Command) -> None:
        self.commands.append(command)
        self.told.set()

    def changed(self, session: Session, before: Door) -> None:
        self.changes.append((session, before, session.door, session.group))


def linked(number: int, *place: bytes) -> tuple[Session, Wire]:
    wire = Wire()
    return session(number, *place, wire=wire), wire


def test_the_nearest_area_upward_with_a_group_decides() -> None:
    routes = {CITY: route(1), COMMUNE: route(3)}
    assert group_of((CITY, DISTRICT, COMMUNE), routes) == route(3)
    assert group_of((CITY, DISTRICT), routes) == route(1)
    assert group_of((OTHER,), routes) is None


def test_who_hears_its_group_gets_its_sound_there_and_who_does_not_any_more_gets_it_itself() -> None:
    one, wire = linked(1, CITY, COMMUNE)
    desk = Desk(one)
    desk.desk.replace({CITY: route(1, source="192.0.2.9")})
    assert wire.said == [GroupMessage(1, "232.1.0.1", 5004, "192.0.2.9")]
    assert desk.commands == [UseGroups((route(1, source="192.0.2.9"),))]
    assert desk.changes == []
    desk.desk.heard(one, Hearing(1, True))
    desk.desk.heard(one, Hearing(1, True))
    desk.desk.heard(one, Hearing(1, False))
    assert desk.changes == [
        (one, Door.UNICAST, Door.GROUP, ("232.1.0.1", 5004)),
        (one, Door.GROUP, Door.UNICAST, None),
    ]
    assert desk.desk.counters == {"heard": 1, "lost": 1}


def test_another_offer_ends_the_group_before_it_is_made_and_the_word_for_the_old_one_means_nothing() -> None:
    one, wire = linked(1, CITY)
    desk = Desk(one)
    desk.desk.replace({CITY: route(1)})
    desk.desk.heard(one, Hearing(1, True))
    desk.desk.replace({CITY: route(2)})
    assert (one.door, one.group) == (Door.UNICAST, None)
    desk.desk.heard(one, Hearing(1, True))
    assert (one.door, desk.desk.counters["outdated"]) == (Door.UNICAST, 1)
    desk.desk.replace({})
    assert wire.said[1:] == [GroupMessage(2, "232.1.0.2", 5004), GroupMessage(3)]
    desk.desk.heard(one, Hearing(3, True))
    assert one.door is Door.UNICAST


def test_who_moves_is_offered_the_group_of_where_it_stands_now() -> None:
    one, wire = linked(1, CITY, DISTRICT)
    desk = Desk()
    desk.desk.replace({DISTRICT: route(1), OTHER: route(2)})
    for place in ((CITY, DISTRICT), (CITY, DISTRICT), (CITY, OTHER), (CITY,)):
        one.place = place
        desk.desk.placed(one)
    assert wire.said == [GroupMessage(1, "232.1.0.1", 5004), GroupMessage(2, "232.1.0.2", 5004), GroupMessage(3)]


def test_who_goes_to_and_fro_without_end_moves_the_media_process_once_a_second() -> None:
    one, _ = linked(1, CITY)
    desk = Desk(one)
    desk.desk.replace({CITY: route(1)})
    for n in range(100):
        desk.clock.set(n * 50_000_000)
        desk.desk.heard(one, Hearing(1, True))
        desk.desk.heard(one, Hearing(1, False))
    assert len(desk.changes) == 2 * 5
    assert desk.desk.counters["too_soon"] == 95
    desk.clock.set(100 * 50_000_000 + HEARD_AGAIN_NS)
    desk.desk.heard(one, Hearing(1, True))
    assert one.door is Door.GROUP


def test_where_no_group_is_nothing_is_said_of_groups() -> None:
    one, wire = linked(1, CITY)
    desk = Desk(one)
    desk.desk.placed(one)
    desk.desk.heard(one, Hearing(0, True))
    assert (wire.said, desk.changes) == ([], [])


def test_who_listens_by_link_goes_on_with_that() -> None:
    one, _ = linked(1, CITY)
    desk = Desk(one)
    one.door = Door.LINK
    desk.desk.replace({CITY: route(1)})
    desk.desk.heard(one, Hearing(1, True))
    desk.desk.replace({})
    assert (one.door, desk.changes) == (Door.LINK, [])


def test_the_address_that_the_media_process_is_bound_to_is_the_source_where_none_is_named() -> None:
    desk = Desk(own_source="192.0.2.1")
    six = GroupRoute("ff35::1", 5004, 8, "", False, "")
    desk.desk.replace({CITY: route(1), DISTRICT: route(2, source="192.0.2.9"), COMMUNE: six})
    sent = (route(1, source="192.0.2.1"), route(2, source="192.0.2.9"), six)
    assert desk.commands == [UseGroups(sent)]
    desk.desk.open_epoch()
    assert desk.commands[1:] == [UseGroups(sent)]


async def test_a_group_ends_when_the_last_of_thousands_has_been_told() -> None:
    sessions = [session(number, CITY) for number in range(3 * AT_ONCE)]
    desk = Desk(*sessions)
    desk.desk.replace({CITY: route(1)})
    await desk.told.wait()
    for each in sessions:
        desk.desk.heard(each, Hearing(1, True))
    desk.told.clear()
    desk.desk.replace({})
    assert any(each.door is Door.GROUP for each in sessions)
    assert not desk.told.is_set()
    await desk.told.wait()
    assert all(each.door is Door.UNICAST for each in sessions)
    assert desk.commands[-1] == UseGroups(())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("routes"), st.dictionaries(st.sampled_from((CITY, DISTRICT)), st.integers(1, 3))),
        st.tuples(st.just("hearing"), st.tuples(st.integers(0, 4), st.booleans())),
        st.tuples(st.just("move"), st.sampled_from(((CITY,), (CITY, DISTRICT), (OTHER,)))),
    ),
    max_size=40,
)


@given(steps)
def test_an_endpoint_is_only_ever_in_the_group_that_it_was_offered_last(
    given_steps: list[tuple[str, object]],
) -> None:
    one, wire = linked(1, CITY)
    desk = Desk(one)
    routes: dict[bytes, GroupRoute] = {}
    for kind, value in given_steps:
        if kind == "routes":
            assert isinstance(value, dict)
            routes = {area: route(number) for area, number in value.items()}
            desk.desk.replace(routes)
        elif kind == "hearing":
            assert isinstance(value, tuple)
            desk.desk.heard(one, Hearing(*value))
        else:
            assert isinstance(value, tuple)
            one.place = value
            desk.desk.placed(one)
        wanted = group_of(one.place, routes)
        offers = [said for said in wire.said if isinstance(said, GroupMessage)]
        assert [offer.serial for offer in offers] == list(range(1, len(offers) + 1))
        assert (offers[-1].host if offers else "") == (wanted.host if wanted else "")
        assert (one.group is None) == (one.door is Door.UNICAST)
        assert one.group in (None, wanted and wanted.address)
