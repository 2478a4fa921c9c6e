"""The first start makes an administrator, whose one-time password is shown once, to whoever started it."""

from __future__ import annotations

from collections.abc import Callable

from loa.broadcast.journal.act import Act
from loa.broadcast.people.password_policy import new_one_time_password
from loa.broadcast.people.person import Language
from loa.broadcast.people.rights import EVERYWHERE, Principal
from loa.broadcast.people.users import Users

LOGIN = "admin"


def shell(act: Act) -> Principal:
    """Who works on the store itself, as the machine's own administrator or as the first start."""
    return Principal(act.actor, act.name, (EVERYWHERE,))


async def ensure_first_user(users: Users, act: Act, show: Callable[[str, str], None]) -> bool:
    """Make the administrator if there never was a user; whether one was made.

    `show` gets login and password before the store has them: where a start ends between the two, they are good for
    nothing, and the next start shows others.
    """
    if await users.any_at_all():
        return False
    one_time = new_one_time_password()
    show(LOGIN, one_time)
    await users.create(
        shell(act),
        act,
        login=LOGIN,
        name="Quản trị viên",
        language=Language.VI,
        grants=(EVERYWHERE,),
        one_time=one_time,
    )
    return True
