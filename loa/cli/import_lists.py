"""`loa import`: areas and devices from lists, by the core's API: looked at first, then taken in as they were
seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loa.cli.options import CoreOption, TokenFileOption, YesOption, read_token
from loa.errors import ConfigError, LoaError

if TYPE_CHECKING:
    from loa.app.api_client import ApiClient

import_lists = typer.Typer(
    name="import",
    help="Nhập địa bàn và thiết bị từ danh sách. · Take in areas and devices from lists.",
    no_args_is_help=True,
)

UnderOption = Annotated[
    str | None,
    typer.Option(
        help="Địa bàn chứa những dòng không ghi cấp trên. · The area in which rows stand that name no parent."
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Chỉ xem trước, không nhập. · Only tell what it would come to.")
]
FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Tệp danh sách · The list.")]

_COUNTS = {
    "create": "tạo mới · created",
    "update": "thay đổi · changed",
    "unchanged": "giữ nguyên · unchanged",
    "code": "cấp mã mới · given a code",
    "place": "đổi vị trí · placed anew",
    "enrolled": "đã đăng ký · enrolled already",
    "waiting": "mã đang chờ · code still waiting",
    "warnings": "cảnh báo · warnings",
    "errors": "lỗi · errors",
}


@import_lists.command()
def areas(
    file: FileArgument,
    under: UnderOption = None,
    source: Annotated[
        str, typer.Option(help="Văn bản, nguồn của danh sách. · Whence the list is, for the record.")
    ] = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    core: CoreOption = "http://127.0.0.1:8080",
    token_file: TokenFileOption = None,
) -> None:
    """Nhập địa bàn từ CSV hoặc GeoJSON. · Take in areas from CSV or GeoJSON."""
    form = "geojson" if file.suffix.lower() in (".geojson", ".json") else "csv"
    fields = {"format": form, "source": source} | ({"under": under} if under else {})

    async def send(api: ApiClient, **more: str) -> dict[str, Any]:
        return await _upload(api, "/api/v1/areas/import", file, fields | more)

    asyncio.run(_look_then_apply(core, read_token(token_file), send, dry_run=dry_run, yes=yes))


@import_lists.command()
def official(
    provinces: Annotated[
        list[str], typer.Argument(help="Mã tỉnh, thành phố, ví dụ 31. · Codes of provinces, such as 31.")
    ],
    under: UnderOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    core: CoreOption = "http://127.0.0.1:8080",
    token_file: TokenFileOption = None,
) -> None:
    """Nhập đơn vị hành chính theo mã chính thức. · Take in provinces with all their units, by official codes."""

    async def send(api: ApiClient, **more: str) -> dict[str, Any]:
        body = {"provinces": provinces, "under": under, **more, "dry_run": "dry_run" in more}
        return await api.call("POST", "/api/v1/areas/import/official", body)

    asyncio.run(_look_then_apply(core, read_token(token_file), send, dry_run=dry_run, yes=yes))


@import_lists.command()
def devices(
    file: FileArgument,
    out: Annotated[
        Path, typer.Option(help="Tệp CSV nhận mã đăng ký (chỉ ghi một lần). · Where the codes go, as CSV.")
    ],
    under: UnderOption = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Cấp lại mã chưa dùng. · Give those another whose code is waiting.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    core: CoreOption = "http://127.0.0.1:8080",
    token_file: TokenFileOption = None,
) -> None:
    """Nhập thiết bị từ CSV, nhận mã đăng ký. · Take in devices from CSV, and get their enrolment codes."""
    fields = {"renew": str(renew).lower()} | ({"under": under} if under else {})

    async def send(api: ApiClient, **more: str) -> dict[str, Any]:
        return await _upload(api, "/api/v1/endpoints/import", file, fields | more)

    token = read_token(token_file)
    # Codes are told once: that they can be written down is made sure of before they are made.
    _reserve(out)
    codes: list[dict[str, Any]] = []
    try:
        done = asyncio.run(_look_then_apply(core, token, send, dry_run=dry_run, yes=yes))
        codes = [] if done is None else done["codes"]
        if codes:
            _write_codes(out, codes)
            print(f"{len(codes)} mã đăng ký · enrolment codes: {out}")
    finally:
        if not codes:
            out.unlink()


Send = Callable[..., Awaitable[dict[str, Any]]]


async def _look_then_apply(core: str, token: str, send: Send, *, dry_run: bool, yes: bool) -> dict[str, Any] | None:
    """What was done; None when nothing was. LoaError when rows are wrong."""
    from loa.app.api_client import ApiClient

    async with ApiClient(core, token) as api:
        seen = await send(api, dry_run="true")
        _show(seen)
        if seen["counts"]["errors"]:
            raise LoaError(f"{seen['counts']['errors']} rows are wrong, so none is taken in")
        changing = sum(seen["counts"].get(name, 0) for name in ("create", "update", "code", "place"))
        if dry_run or not changing:
            return None
        if not yes and not await asyncio.to_thread(typer.confirm, "Nhập? · Take it in?"):
            return None
        done = await send(api, plan=seen["plan"])
        print("Đã nhập. · Taken in.")
        return done


def _show(seen: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("", "", show_header=False)
    for name, count in seen["counts"].items():
        table.add_row(_COUNTS.get(name, name), str(count))
    if seen.get("moved"):
        table.add_row("thiết bị đổi cấp trên · devices placed anew", str(seen["moved"]))
    console.print(table)
    for kind in ("errors", "warnings"):
        for row in seen.get(kind, [])[:20]:
            said = f"{_COUNTS[kind]}, dòng · line {row['line']}: {row['message']}"
            console.print(said, markup=False, highlight=False)


async def _upload(api: ApiClient, path: str, file: Path, fields: dict[str, str]) -> dict[str, Any]:
    """Send a list, and show how far it is where somebody watches."""
    from rich.console import Console
    from rich.progress import Progress

    size_bytes = (await asyncio.to_thread(file.stat)).st_size
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Đang gửi · Sending", total=size_bytes)
        return await api.send_list(path, file, fields, lambda sent: progress.update(task, completed=sent))


def _reserve(out: Path) -> None:
    try:
        out.open("xb").close()
    except FileExistsError as error:
        raise ConfigError(f"--out {out} is there already, and codes are not written over it") from error
    except OSError as error:
        raise ConfigError(f"--out {out}: {error.strerror}") from error


def _write_codes(out: Path, codes: list[dict[str, Any]]) -> None:
    from loa.broadcast.registry.lists.csv_table import write_table
    from loa.durable import replace_file

    rows = [(each["name"], each["area_name"], each["code"]) for each in codes]
    replace_file(out, write_table(("Tên", "Đơn vị", "Mã đăng ký"), rows))
