"""`loa speaker`: the reference speaker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loa.errors import ConfigError, EnrolmentError, LinkError, LoaError

EXIT_OTHER = 1
EXIT_CONFIG = 2
EXIT_ENROLMENT = 3
EXIT_NO_SERVER = 4


def speaker(
    core: Annotated[
        str, typer.Option(envvar="LOA_CORE", help="Địa chỉ máy chủ · The core's address, http://host:port.")
    ],
    state: Annotated[Path, typer.Option(help="Thư mục riêng của loa · The speaker's own folder.")],
    code: Annotated[
        str | None,
        typer.Option(envvar="LOA_CODE", help="Mã đăng ký, cho lần đầu · Enrolment code, for the first start."),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            envvar="LOA_OUTPUT", help="card, card:DEVICE, wav:FOLDER or null: nơi phát · where the sound goes."
        ),
    ] = "card",
    media: Annotated[
        str | None, typer.Option(help="host:port để gửi UDP · send UDP here instead of where the core says.")
    ] = None,
    clock_skew: Annotated[
        str | None, typer.Option(help='Thử nghiệm · testing: a wrong clock, "3600s,+80ppm".')
    ] = None,
    lead_ms: Annotated[
        int, typer.Option(help="wav, null: chuẩn bị trước bao lâu · how far ahead the sound is made, ms.")
    ] = 100,
    volume: Annotated[
        int, typer.Option(envvar="LOA_VOLUME", min=0, max=100, help="Âm lượng · volume, 0 to 100.")
    ] = 100,
    report: Annotated[
        Path | None, typer.Option(help="Ghi tình trạng mỗi giây · write a JSON report here every second.")
    ] = None,
) -> None:
    """Loa truyền thanh: nhận, kiểm tra và phát đúng lúc. · The speaker: receives, verifies and plays in time.

    Exit codes: 0 ended by SIGTERM, 1 other error, 2 a setting or the state folder, 3 enrolment, 4 no server.
    """

    from loa.app.logs import log_to_stderr
    from loa.app.speaker import Settings, run

    def fail(error: LoaError) -> None:
        typer.echo(f"loa speaker: {error}", err=True)
        raise typer.Exit(exit_code(error))

    log_to_stderr("info")
    try:
        address = None if media is None else _address(media)
        settings = Settings(core, state, code, output, address, clock_skew, volume, report, lead_ms)
        run(settings, fail=fail)
    except ConfigError as error:
        fail(error)


def exit_code(error: LoaError) -> int:
    """What the process ends with for an error."""
    if isinstance(error, ConfigError):
        return EXIT_CONFIG
    if isinstance(error, EnrolmentError):
        return EXIT_ENROLMENT
    if isinstance(error, LinkError):
        return EXIT_NO_SERVER
    return EXIT_OTHER


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigError(f"--media: {text!r} is not host:port")
    return host, int(port)
