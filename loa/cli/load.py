"""`loa load`: thousands of endpoints against a core, to know what it holds before a city relies on it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from loa.cli.options import CoreOption, TokenFileOption, read_token
from loa.errors import ConfigError, LoaError

EXIT_NOT_ACCEPTED = 1
EXIT_CONFIG = 2


def load(
    endpoints: Annotated[int, typer.Option(help="Số thiết bị · Endpoints.")] = 1_000,
    core: CoreOption = "http://127.0.0.1:8080",
    token_file: TokenFileOption = None,
    area: Annotated[
        str,
        typer.Option(help="Địa bàn; để trống: một địa bàn riêng · The area; empty: one of their own."),
    ] = "",
    state: Annotated[
        Path, typer.Option(help="Thư mục giữ danh tính, để lần sau chạy ngay · Who they are, for the next run.")
    ] = Path("loa-load"),
    processes: Annotated[int, typer.Option(help="Số tiến trình phát tải · Generating processes.")] = 2,
    sample: Annotated[
        int, typer.Option(help="Số thiết bị nhận, kiểm tra và giải mã đủ · Endpoints that hear everything.")
    ] = 100,
    seconds: Annotated[float, typer.Option(help="Đo trong bao lâu · How long to measure, s.")] = 60.0,
    broadcast: Annotated[
        str,
        typer.Option(help="Chương trình; để trống: bản tin có sẵn · Programme; empty: its own bulletin."),
    ] = "",
    emergency: Annotated[
        str, typer.Option(help="Chương trình khẩn cấp cho --preempt-every · Emergency programme; empty: its own.")
    ] = "",
    preempt_every: Annotated[
        float,
        typer.Option(help="Mỗi bấy nhiêu giây một bản khẩn cấp · An emergency every so many s; 0: none."),
    ] = 0.0,
    churn: Annotated[
        float, typer.Option(help="Mỗi giây bao nhiêu thiết bị rời và vào lại · Leave and come back, a second.")
    ] = 0.0,
    loss: Annotated[
        str, typer.Option(help="Tỷ lệ gói mà mẫu bỏ đi khi đến · Share of packets that the sample throws away.")
    ] = "0%",
    nack: Annotated[
        str,
        typer.Option(help="Tỷ lệ gói các thiết bị khác xin lại · Share that the others ask for; empty: --loss."),
    ] = "",
    limit: Annotated[
        list[str] | None,
        typer.Option(help="Đổi giới hạn, ví dụ spread_p99_ms=30 hoặc =none · Change a limit; may be repeated."),
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Ghi kết quả vào tệp này · Write the result there.")
    ] = None,
    clean_up: Annotated[
        bool,
        typer.Option("--clean-up", help="Rồi thu hồi mọi thứ đã tạo · Then revoke all that was made."),
    ] = False,
    others_may_hear: Annotated[
        bool,
        typer.Option("--others-may-hear", help="Thiết bị khác nghe cũng được · Other devices may hear it."),
    ] = False,
    i_own_this_network: Annotated[
        bool,
        typer.Option("--i-own-this-network", help="Cho phép tải lên máy khác · Allow load on another machine."),
    ] = False,
) -> None:
    """Thử tải và nghiệm thu: hàng nghìn thiết bị. · Load and acceptance: thousands of endpoints.

    Exit codes: 0 accepted, 1 a limit is missed or the run was cut off, 2 a setting.
    """
    from rich.console import Console

    from loa.app.load.acceptance import with_limits
    from loa.app.load.plan import LoadPlan, parse_share
    from loa.app.load.run import LoadRun, Options
    from loa.app.load.show import Screen, plain_lines, tables, verdict

    console = Console(width=None if sys.stdout.isatty() else 150)
    try:
        lost = parse_share(loss, "--loss")
        plan = LoadPlan(
            endpoints,
            processes=processes,
            sample=sample,
            loss=lost,
            nack=parse_share(nack, "--nack") if nack else lost,
            churn=churn,
        )
        options = Options(
            core_url=core.rstrip("/"),
            token=read_token(token_file),
            plan=plan,
            state=state,
            seconds=seconds,
            area_id=area,
            programme_id=broadcast,
            emergency_id=emergency,
            preempt_every_s=preempt_every,
            limits=with_limits(limit or []),
            owns_network=i_own_this_network,
            others_may_hear=others_may_hear,
            clean_up=clean_up,
        )
        with Screen(console) as screen:
            result = asyncio.run(LoadRun(options, screen).run())
    except ConfigError as error:
        typer.echo(f"loa load: {error}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    except LoaError as error:
        typer.echo(f"loa load: {error}", err=True)
        raise typer.Exit(EXIT_NOT_ACCEPTED) from None
    for table in tables(result):
        console.print(table)
    for line in plain_lines(result.figures):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if json_path is not None:
        _write(json_path, json.dumps(result.to_json(), indent=2, ensure_ascii=False))
    console.print(verdict(result), style="bold green" if result.passed else "bold red")
    raise typer.Exit(0 if result.passed else EXIT_NOT_ACCEPTED)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        typer.echo(f"loa load: --json {path}: {error.strerror}", err=True)
        raise typer.Exit(EXIT_CONFIG) from None
