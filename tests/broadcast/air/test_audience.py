"""Who gets a broadcast, by which door, and what the media process is told of it."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loa.broadcast.air import media_port
from loa.broadcast.air.audience import Audience
from loa.broadcast.air.door import Door
from loa.broadcast.air.media_port import Address, Command
from loa.broadcast.air.session import Session
from tests.broadcast.air.sessions import session

ID = b"broadcast number"
GROUPS: list[Address] = [("232.1.0.1", 5004), ("232.1.0.2", 5004)]


def test_who_joins_and_leaves_makes_one_command_of_each_change() -> None:
    audience, three = Audience(ID), [session(number) for number in range(3)]
    channels = tuple(each.channel_id for each in three)
    assert audience.join(three) == [media_port.Audience(ID, channels)]
    assert audience.join(three[1:]) == []
    assert audience.leave(three[:1]) == [media_port.Audience(ID, (), channels[:1])]
    assert audience.leave(three[:1]) == []
    assert (len(audience), three[0] in audience, three[1] in audience) == (2, False, True)


def test_a_channel_that_the_media_process_dropped_by_itself_is_not_told() -> None:
    audience, one = Audience(ID), session(1)
    audience.join([one])
    assert audience.gone(one) == []
    assert len(audience) == 0


def test_who_changes_its_door_goes_on_by_the_new_one() -> None:
    audience, one = Audience(ID), session(1)
    audience.join([one])
    one.door = Door.LINK
    assert one in audience
    assert audience.door_changed(one) == [
        media_port.Tap(ID, True),
        media_port.Audience(ID, (), (one.channel_id,)),
    ]
    assert audience.by_link == {one}
    one.door, one.group = Door.GROUP, GROUPS[0]
    assert audience.door_changed(one) == [media_port.Groups(ID, (GROUPS[0],)), media_port.Tap(ID, False)]
    assert (audience.by_link, audience.groups) == (set(), {GROUPS[0]: 1})
    one.door = Door.UNICAST
    assert audience.door_changed(one) == [media_port.Audience(ID, (one.channel_id,)), media_port.Groups(ID, ())]
    assert audience.groups == {}


def test_a_group_is_told_before_unicast_ends_and_taken_away_after_it_has_begun() -> None:
    audience, one, two = Audience(ID), session(1), session(2)
    audience.join([one, two])
    one.door, one.group = Door.GROUP, GROUPS[0]
    assert audience.door_changed(one) == [
        media_port.Groups(ID, (GROUPS[0],)),
        media_port.Audience(ID, (), (one.channel_id,)),
    ]
    two.door, two.group = Door.GROUP, GROUPS[0]
    assert audience.door_changed(two) == [media_port.Audience(ID, (), (two.channel_id,))]
    one.group = GROUPS[1]
    assert audience.door_changed(one) == [media_port.Groups(ID, (GROUPS[0], GROUPS[1]))]
    assert audience.leave([two]) == [media_port.Groups(ID, (GROUPS[1],))]
    assert audience.gone(one) == [media_port.Groups(ID, ())]


def test_a_door_changes_nothing_for_who_gets_nothing() -> None:
    audience, one = Audience(ID), session(1)
    one.door = Door.LINK
    assert audience.door_changed(one) == []
    assert one not in audience


NUMBERS = st.integers(0, 7)


class Comings(RuleBasedStateMachine):
    """Sessions come, go and change doors; the media process keeps what it is told."""

    @initialize()
    def begin(self) -> None:
        self.audience = Audience(ID)
        self.sessions = [session(number) for number in range(8)]
        self.inside: dict[Session, tuple[Door, Address | None]] = {}
        self.channels: set[bytes] = set()
        self.groups: set[Address] = set()
        self.tapped = False

    def obey(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, media_port.Groups):
                self.groups = set(command.groups)
            if isinstance(command, media_port.Tap):
                assert command.on is not self.tapped
                self.tapped = command.on
            if not isinstance(command, media_port.Audience):
                continue
            assert not self.channels & set(command.joined)
            assert self.channels >= set(command.left)
            self.channels |= set(command.joined)
            self.channels -= set(command.left)

    @rule(numbers=st.lists(NUMBERS))
    def join(self, numbers: list[int]) -> None:
        some = [self.sessions[number] for number in numbers]
        self.obey(self.audience.join(some))
        for each in some:
            self.inside.setdefault(each, (each.door, each.group))

    @rule(numbers=st.lists(NUMBERS))
    def leave(self, numbers: list[int]) -> None:
        some = [self.sessions[number] for number in numbers]
        self.obey(self.audience.leave(some))
        for each in some:
            self.inside.pop(each, None)

    @rule(number=NUMBERS)
    def gone(self, number: int) -> None:
        self.channels.discard(self.sessions[number].channel_id)
        self.obey(self.audience.gone(self.sessions[number]))
        self.inside.pop(self.sessions[number], None)

    @rule(number=NUMBERS, door=st.sampled_from(Door), group=st.sampled_from(GROUPS))
    def change(self, number: int, door: Door, group: Address) -> None:
        each = self.sessions[number]
        each.door, each.group = door, group if door is Door.GROUP else None
        self.obey(self.audience.door_changed(each))
        if each in self.inside:
            self.inside[each] = (each.door, each.group)

    @invariant()
    def everybody_is_in_by_one_door(self) -> None:
        doors = {door: {each for each, at in self.inside.items() if at[0] is door} for door in Door}
        assert self.channels == self.audience.by_unicast == {each.channel_id for each in doors[Door.UNICAST]}
        assert self.audience.by_link == doors[Door.LINK]
        assert self.tapped is bool(doors[Door.LINK])
        assert self.audience.groups == Counter(group for _, group in self.inside.values() if group is not None)
        assert self.groups == set(self.audience.groups)
        assert len(self.audience) == len(self.inside)
        assert all((each in self.audience) == (each in self.inside) for each in self.sessions)


TestComings = Comings.TestCase
