"""`loa users`: a core's users from its shell, for the day on which no administrator gets in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from loa.cli.options import ConfigOption, DataDirOption, core_settings

if TYPE_CHECKING:
    from loa.broadcast.people.person import User

LoginArgument = Annotated[str, typer.Argument(help="Tên đăng nhập · Login name.")]

users = typer.Typer(
    name="users",
    help="Người dùng, từ dòng lệnh của máy chủ; máy chủ có thể đang chạy."
    " · Users, from the core's shell; the core may be running.",
    no_args_is_help=True,
)


@users.command("list")
def list_users(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Liệt kê người dùng. · List the users: login, roles, state, name."""
    from loa.app.people_desk import people_desk

    async def ask() -> list[User]:
        async with people_desk(core_settings(config, data_dir)) as desk:
            return await desk.list()

    for user in asyncio.run(ask()):
        print("\t".join((user.login, _roles(user), _state(user), user.name)))


@users.command()
def add(
    login: LoginArgument,
    name: Annotated[str, typer.Option(help="Họ tên · The person's name.")],
    grant: Annotated[
        list[str] | None,
        typer.Option(help="Vai trò, hoặc vai-trò@mã-khu-vực; nhiều lần được · role, or role@area-id; several."),
    ] = None,
    language: Annotated[str, typer.Option(help="vi, en")] = "vi",
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Tạo người dùng, in mật khẩu dùng một lần. · Make a user, and print a one-time password."""
    from loa.app.people_desk import parse_grant, parse_language, people_desk

    async def ask() -> tuple[User, str]:
        grants = [parse_grant(each) for each in grant or []]
        async with people_desk(core_settings(config, data_dir)) as desk:
            return await desk.add(login, name, parse_language(language), grants)

    user, password = asyncio.run(ask())
    _show_password(user.login, password)


@users.command()
def reset_password(
    login: LoginArgument,
    forget_app: Annotated[
        bool, typer.Option("--forget-app", help="Mất điện thoại: bỏ cả ứng dụng xác thực · The telephone is lost.")
    ] = False,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Cấp mật khẩu dùng một lần; mọi phiên bị đóng. · A one-time password; all sessions end."""
    from loa.app.people_desk import people_desk

    async def ask() -> str:
        async with people_desk(core_settings(config, data_dir)) as desk:
            return await desk.reset_password(login, forget_app=forget_app)

    _show_password(login, asyncio.run(ask()))


@users.command()
def unlock(login: LoginArgument, config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Mở khóa: bỏ chờ do gõ sai, và cho phép lại. · End a lock-out, and enable a disabled user."""
    from loa.app.people_desk import people_desk

    async def ask() -> User:
        async with people_desk(core_settings(config, data_dir)) as desk:
            return await desk.unlock(login)

    print(f"Đã mở khóa · Unlocked: {asyncio.run(ask()).login}")


def _show_password(login: str, password: str) -> None:
    print(f"{login}: {password}")
    print("Mật khẩu dùng một lần, chỉ hiện một lần, hạn 7 ngày · one-time, shown once, good for 7 days")


def _roles(user: User) -> str:
    from loa.model import id_text

    return ",".join(
        str(grant.role) if grant.area_id is None else f"{grant.role}@{id_text(grant.area_id)}"
        for grant in user.grants
    )


def _state(user: User) -> str:
    states = [] if user.active else ["khóa·disabled"]
    states += ["mật khẩu tạm·one-time password"] if user.must_change_password else []
    states += ["2 lớp·second factor"] if user.second_factor else []
    return ", ".join(states) or "-"
