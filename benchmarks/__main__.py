"""Runs the benchmarks, all or those that are named, prints a table and, where wanted, writes JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks import (
    Figure,
    Measured,
    api,
    arbiter,
    everything,
    fanout,
    growth,
    lateness,
    link_media,
    links,
    listeners,
    multicast,
    orders,
    paced,
    reaction,
    receipts,
    soak,
    speaker,
    spread,
    srtp,
    store,
)

ALL: dict[str, Callable[[], Measured]] = {
    "fanout": fanout.measure,
    "multicast": multicast.measure,
    "paced": paced.measure,
    "spread": spread.measure,
    "growth": growth.measure,
    "lateness": lateness.measure,
    "arbiter": arbiter.measure,
    "srtp": srtp.measure,
    "speaker": speaker.measure,
    "listeners": listeners.measure,
    "orders": orders.measure,
    "store": store.measure,
    "receipts": receipts.measure,
    "api": api.measure,
    "links": links.measure,
    "link_media": link_media.measure,
    "reaction": reaction.measure,
    "everything": everything.measure,
    "soak": soak.measure,
}
BY_NAME_ONLY = frozenset({"soak"})
"""Too long to be run with the others."""
BUSY_LOAD = 0.5


def machine() -> dict[str, str | int | float]:
    """What it runs on, and how busy that was before."""
    cpu = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [
            line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")
        ]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    return {
        "cpu": cpu,
        "cores": os.cpu_count() or 0,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
    }


def line(figure: Figure) -> str:
    """A figure in the table."""
    verdict = {None: " ", True: "✓", False: "✗"}[figure.reached]
    value = f"{figure.value:>12,.2f} {figure.unit:<10}"
    return f"  {figure.name:<52} {value} {figure.wanted:>9} {verdict} {figure.note}".rstrip()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join(ALL)}; all but {', '.join(BY_NAME_ONLY)} when none is named"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there too")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in ALL]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(ALL)}")
    about = machine()
    print(
        f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, Python {about['python']}, "
        f"load {about['load_1min']}"
    )
    if float(about["load_1min"]) > BUSY_LOAD * int(about["cores"]):
        print("the machine was busy: the figures are worse than it could do", file=sys.stderr)
    result: dict[str, list[dict[str, object]]] = {}
    for name in options.names or [name for name in ALL if name not in BY_NAME_ONLY]:
        began = time.monotonic()
        measured = ALL[name]()
        print(f"\n{name} ({time.monotonic() - began:.1f} s)")
        for each in measured:
            if isinstance(each, Figure):
                print(line(each))
        result[name] = [each._asdict() if isinstance(each, Figure) else asdict(each) for each in measured]
        if options.json is not None:  # after each: a long run that is cut off has said what it knew
            text = json.dumps({"machine": about, "figures": result}, indent=2, ensure_ascii=False)
            options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
