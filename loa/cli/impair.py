"""`loa impair`: put a bad network between speakers and the core."""

import asyncio
import dataclasses
import json
import os
import signal
from typing import Annotated

import typer

from loa.app.impair import Burst, Impairment, UdpForwarder, format_address, parse_address
from loa.errors import ConfigError


def impair(
    to: Annotated[str, typer.Option(help="Far end, host:port.")],
    listen: Annotated[str, typer.Option(help="Where clients send to; port 0 takes a free one.")] = "127.0.0.1:0",
    delay_ms: Annotated[float, typer.Option(help="Delay of each direction, ms.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(help="Mean of an exponential added delay, ms; keeps order.")] = 0.0,
    loss: Annotated[float, typer.Option(help="Share lost, 0 to 1.")] = 0.0,
    burst_to_bad: Annotated[float, typer.Option(help="Chance per packet that a loss burst begins.")] = 0.0,
    burst_to_good: Annotated[float, typer.Option(help="Chance per packet that it ends.")] = 0.5,
    reorder: Annotated[float, typer.Option(help="Share held back so that others overtake, 0 to 1.")] = 0.0,
    reorder_ms: Annotated[float, typer.Option(help="How long those are held back, ms.")] = 30.0,
    duplicate: Annotated[float, typer.Option(help="Share sent twice, 0 to 1.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Same seed, same fates.")] = 0,
    report_fd: Annotated[
        int | None, typer.Option(help="Open file descriptor that gets the counts as one JSON line at exit.")
    ] = None,
) -> None:
    """Chuyển tiếp UDP qua một đường truyền xấu, cả hai chiều. · Forward UDP through a bad path, both ways.

    Prints "impair: listening on HOST:PORT" when ready, and the counts when ended by SIGTERM or SIGINT.
    """
    burst = Burst(to_bad=burst_to_bad, to_good=burst_to_good) if burst_to_bad else None
    try:
        impairment = Impairment(
            delay_ms=delay_ms,
            jitter_ms=jitter_ms,
            loss=loss,
            duplicate=duplicate,
            reorder=reorder,
            reorder_ms=reorder_ms,
            burst=burst,
            seed=seed,
        )
        if report_fd is not None:
            _must_be_open(report_fd)
        forwarder = UdpForwarder(parse_address(listen), parse_address(to), impairment, impairment)
        asyncio.run(_run(forwarder, report_fd))
    except ConfigError as error:
        typer.echo(f"impair: {error}", err=True)
        raise typer.Exit(2) from None


def _must_be_open(fd: int) -> None:
    try:
        os.fstat(fd)
    except OSError as error:
        raise ConfigError(f"--report-fd {fd} is not an open file descriptor: {error}") from error


async def _run(forwarder: UdpForwarder, report_fd: int | None) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ended.set)
    await forwarder.start()
    try:
        print(f"impair: listening on {format_address(forwarder.address)}", flush=True)
        await ended.wait()
    finally:
        forwarder.close()
    counts = forwarder.statistics()
    for name, path in (("up", counts.up), ("down", counts.down)):
        text = " ".join(f"{key}={value}" for key, value in dataclasses.asdict(path).items())
        print(f"impair: {name} {text}", flush=True)
    print(
        f"impair: clients={counts.clients} expired={counts.clients_expired} "
        f"refused={counts.refused} unsent={counts.unsent}",
        flush=True,
    )
    if report_fd is not None:
        with os.fdopen(report_fd, "w", encoding="utf-8") as report:
            report.write(json.dumps(dataclasses.asdict(counts)) + "\n")
