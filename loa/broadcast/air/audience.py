"""Who gets the sound of one broadcast, and by which door (`Door`).

Pure: what is to be told to the media process is returned, and is to be sent in that order. What an endpoint gets
changes at a frame's boundary, so none gets a frame twice by one door.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from loa.broadcast.air import media_port
from loa.broadcast.air.door import Door
from loa.broadcast.air.media_port import Address, Command
from loa.broadcast.air.session import Session


@dataclass(frozen=True, slots=True)
class _Shared:
    """What goes out once for many: to all who listen by link, and to each group that somebody is in."""

    linked: bool
    groups: tuple[Address, ...]


class Audience:
    """The sessions that get one broadcast. Each is in it by the door that it had when it came or last changed."""

    def __init__(self, broadcast_id: bytes) -> None:
        self.broadcast_id = broadcast_id
        self.by_unicast: set[bytes] = set()
        """Channels, as the media process has them."""
        self.by_link: set[Session] = set()
        self.groups: Counter[Address] = Counter()
        """How many listen to each group; none that nobody listens to."""
        self._group_of: dict[Session, Address] = {}
        self._sorted: tuple[Address, ...] | None = ()  # `groups` in order; None: one has come or gone since

    def __contains__(self, session: Session) -> bool:
        return session.channel_id in self.by_unicast or session in self.by_link or session in self._group_of

    def __len__(self) -> int:
        return len(self.by_unicast) + len(self.by_link) + len(self._group_of)

    def join(self, sessions: Iterable[Session]) -> list[Command]:
        """These get it from now on; who gets it already stays as it is."""
        before = self._shared()
        sessions, unicast, here = list(sessions), Door.UNICAST, self.by_unicast
        elsewhere = self.by_link or self._group_of
        joined = [s.channel_id for s in sessions if s.door is unicast and s.channel_id not in here]
        if elsewhere or len(joined) < len(sessions):
            # Some are in it, or come, by other doors.
            joined = [session.channel_id for session in sessions if session not in self and self._enter(session)]
        else:
            here.update(joined)
        return self._told(joined, [], before)

    def leave(self, sessions: Iterable[Session]) -> list[Command]:
        """These do not get it any more."""
        before = self._shared()
        sessions, here = list(sessions), self.by_unicast
        left = [s.channel_id for s in sessions if s.channel_id in here]
        if len(left) < len(sessions):
            left = [session.channel_id for session in sessions if self._quit(session)]
        else:
            here.difference_update(left)
        return self._told([], left, before)

    def gone(self, session: Session) -> list[Command]:
        """The session is over; the media process has dropped its channel by itself."""
        if session not in self:
            return []
        before = self._shared()
        self._quit(session)
        return self._told([], [], before)

    def door_changed(self, session: Session) -> list[Command]:
        """The session has another door than before, or another group: it goes on by that one, if it gets this."""
        if session not in self:
            return []
        before = self._shared()
        channel = session.channel_id
        was_unicast, is_unicast = self._quit(session), self._enter(session)
        return self._told(
            [channel] if is_unicast and not was_unicast else [],
            [channel] if was_unicast and not is_unicast else [],
            before,
        )

    def _enter(self, session: Session) -> bool:
        """Put it in by its door; whether that is unicast."""
        if session.door is Door.LINK:
            self.by_link.add(session)
        elif session.door is Door.GROUP and session.group is not None:
            self._group_of[session] = session.group
            self.groups[session.group] += 1
            if self.groups[session.group] == 1:
                self._sorted = None
        else:
            self.by_unicast.add(session.channel_id)
            return True
        return False

    def _quit(self, session: Session) -> bool:
        """Take it out, if it is in; whether it was in by unicast."""
        if session.channel_id in self.by_unicast:
            self.by_unicast.remove(session.channel_id)
            return True
        self.by_link.discard(session)
        group = self._group_of.pop(session, None)
        if group is not None:
            self.groups[group] -= 1
            if not self.groups[group]:
                del self.groups[group]
                self._sorted = None
        return False

    def _shared(self) -> _Shared:
        if self._sorted is None:
            self._sorted = tuple(sorted(self.groups))
        return _Shared(bool(self.by_link), self._sorted)

    def _told(self, joined: list[bytes], left: list[bytes], before: _Shared) -> list[Command]:
        """What the media process is to be told of a change. Who goes from one door to another has both for a frame
        rather than none: groups are added first, and taken away last."""
        commands: list[Command] = []
        groups = self._shared().groups
        both = groups if groups is before.groups else tuple(sorted({*groups, *before.groups}))
        linked = bool(self.by_link)
        if linked and not before.linked:
            commands.append(media_port.Tap(self.broadcast_id, True))
        if both != before.groups:
            commands.append(media_port.Groups(self.broadcast_id, both))
        if joined or left:
            commands.append(media_port.Audience(self.broadcast_id, tuple(joined), tuple(left)))
        if groups != both:
            commands.append(media_port.Groups(self.broadcast_id, groups))
        if before.linked and not linked:
            commands.append(media_port.Tap(self.broadcast_id, False))
        return commands
