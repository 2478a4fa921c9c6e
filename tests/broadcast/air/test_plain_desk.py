"""Which broadcast an unprotected output carries: that which all of its area would play."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from loa.arbiter import Precedence, precedence_of
from loa.broadcast.air.media_port import Carry, Command, GroupRoute, PlainOutput, UsePlain
from loa.broadcast.air.plain_desk import AreaOutput, PlainDesk

CITY, DISTRICT, COMMUNE, OTHER = b"city", b"district", b"commune", b"other"
PATHS = {
    CITY: frozenset((CITY,)),
    DISTRICT: frozenset((CITY, DISTRICT)),
    COMMUNE: frozenset((CITY, DISTRICT, COMMUNE)),
    OTHER: frozenset((CITY, OTHER)),
}


def output(area_id: bytes) -> AreaOutput:
    route = GroupRoute("239.1.0.1", 5_000 + list(PATHS).index(area_id), 8, "", False, "")
    return AreaOutput(PlainOutput(area_id, route, b"there", b"gone"), PATHS[area_id])


def ranked(number: int, priority: int) -> tuple[bytes, Precedence]:
    broadcast_id = bytes((number,)) * 16
    return broadcast_id, precedence_of(priority, number, broadcast_id)


def test_an_output_carries_what_is_for_its_area_or_one_above_and_not_what_is_for_a_part_of_it() -> None:
    commands: list[Command] = []
    desk = PlainDesk(commands.append)
    desk.replace({DISTRICT: output(DISTRICT)})
    assert commands == [UsePlain((output(DISTRICT).output,))]
    city, commune, district = ranked(1, 100), ranked(2, 200), ranked(3, 150)
    desk.begin(*city, [CITY])
    desk.begin(*commune, [COMMUNE])
    desk.begin(*district, [DISTRICT, OTHER])
    desk.end(district[0])
    desk.end(district[0])
    desk.end(city[0])
    assert commands[1:] == [
        Carry(DISTRICT, city[0]),
        Carry(DISTRICT, district[0]),
        Carry(DISTRICT, city[0]),
        Carry(DISTRICT, b""),
    ]


def test_an_output_that_comes_while_something_is_on_air_carries_it_and_a_new_media_process_is_told_of_it() -> None:
    commands: list[Command] = []
    desk = PlainDesk(commands.append)
    on_air = ranked(1, 100)
    desk.begin(*on_air, [CITY])
    desk.replace({OTHER: output(OTHER)})
    use = UsePlain((output(OTHER).output,))
    assert commands == [use, Carry(OTHER, on_air[0])]
    desk.end(on_air[0])
    desk.open_epoch()
    assert commands[2:] == [Carry(OTHER, b""), use]
    desk.replace({})
    desk.begin(*ranked(2, 100), [CITY])
    assert commands[4:] == [UsePlain(())]


class Afternoon(RuleBasedStateMachine):
    """Broadcasts and outputs come and go; each output carries the first by precedence of those that mean it."""

    @initialize()
    def begin_empty(self) -> None:
        self.carried: dict[bytes, bytes] = {}
        self.desk = PlainDesk(self.obey)
        self.outputs: dict[bytes, AreaOutput] = {}
        self.on_air: dict[bytes, tuple[Precedence, frozenset[bytes]]] = {}
        self.number = 0

    def obey(self, command: Command) -> None:
        if isinstance(command, UsePlain):
            ids = {each.output_id for each in command.outputs}
            self.carried = {area: self.carried.get(area, b"") for area in ids}
        elif isinstance(command, Carry):
            assert command.output_id in self.carried
            assert self.carried[command.output_id] != command.broadcast_id
            self.carried[command.output_id] = command.broadcast_id

    @rule(areas=st.sets(st.sampled_from(sorted(PATHS)), min_size=1), priority=st.integers(0, 3))
    def start(self, areas: set[bytes], priority: int) -> None:
        self.number += 1
        broadcast_id, precedence = ranked(self.number % 250, priority)
        if broadcast_id not in self.on_air:
            self.on_air[broadcast_id] = (precedence, frozenset(areas))
            self.desk.begin(broadcast_id, precedence, areas)

    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        if self.on_air:
            broadcast_id = data.draw(st.sampled_from(sorted(self.on_air)))
            del self.on_air[broadcast_id]
            self.desk.end(broadcast_id)

    @rule(areas=st.sets(st.sampled_from(sorted(PATHS))))
    def configure(self, areas: set[bytes]) -> None:
        self.outputs = {area: output(area) for area in areas}
        self.desk.replace(self.outputs)

    @invariant()
    def each_carries_the_first_of_those_that_mean_it(self) -> None:
        for area, each in self.outputs.items():
            meant = [(rank, on) for on, (rank, areas) in self.on_air.items() if areas & each.path]
            assert self.carried[area] == (min(meant)[1] if meant else b"")
        assert self.carried.keys() == self.outputs.keys()


TestAfternoon = Afternoon.TestCase
