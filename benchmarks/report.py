"""A page of what was measured, with pictures: `python -m benchmarks.report RESULT.json … --into docs`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import Figure, Plot

MARK = "<!-- figures -->"
"""What stands above it on the page is written by hand and stays."""
PAGE = "performance.md"
PICTURES = "performance"
_VERDICT = {None: "", True: "✓", False: "**✗**"}


def from_json(document: Mapping[str, Any]) -> dict[str, list[Figure | Plot]]:
    """What `python -m benchmarks --json` wrote, by benchmark."""
    return {
        name: [Plot(**each) if "lines" in each else Figure(**each) for each in measured]
        for name, measured in document["figures"].items()
    }


def tables(document: Mapping[str, Any]) -> Iterable[str]:
    """The page's lines for one run: its machine, and a table and the pictures of each benchmark."""
    about = document["machine"]
    yield (
        f"{about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, Python {about['python']}; "
        f"{about['date']}, load before: {about['load_1min']}."
    )
    for name, measured in from_json(document).items():
        yield from ("", f"### {name}", "")
        figures = [each for each in measured if isinstance(each, Figure)]
        if figures:
            yield from ("| figure | measured | wanted | | with |", "|---|---:|---|---|---|")
            for each in figures:
                value = f"{each.value:,.2f}" if abs(each.value) < 1000 else f"{each.value:,.0f}"
                verdict = _VERDICT[each.reached]
                yield f"| {each.name} | {value} {each.unit} | {each.wanted} | {verdict} | {each.note} |"
        for plot in (each for each in measured if isinstance(each, Plot)):
            yield from ("", f"![{plot.name}]({PICTURES}/{_file(plot)})")


def draw(plot: Plot, path: Path) -> None:
    """The plot as SVG, the same bytes for the same points."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    with mpl.rc_context({"svg.hashsalt": plot.name, "svg.fonttype": "none", "font.family": "sans-serif"}):
        canvas = Canvas(figsize=(7, 4), layout="constrained")
        axes = canvas.subplots()
        for name, points in plot.lines.items():
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=name)
        axes.set(xlabel=plot.x, ylabel=plot.y, title=plot.name, xscale="log" if plot.x_log else "linear")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
        canvas.savefig(path, format="svg", metadata={"Date": None})


def write(results: Iterable[Path], folder: Path) -> None:
    """Put the figures of all results under the page's mark, and the pictures beside the page."""
    page = folder / PAGE
    head = page.read_text(encoding="utf-8").partition(MARK)[0]
    lines: list[str] = []
    for result in results:
        document = json.loads(result.read_text(encoding="utf-8"))
        lines += ["", *tables(document)]
        for measured in from_json(document).values():
            for plot in (each for each in measured if isinstance(each, Plot)):
                (folder / PICTURES).mkdir(exist_ok=True)
                draw(plot, folder / PICTURES / _file(plot))
    page.write_text(head + MARK + "\n" + "\n".join(lines) + "\n", encoding="utf-8")


def _file(plot: Plot) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in plot.name.lower()).strip("-") + ".svg"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--into", type=Path, default=Path("docs"))
    options = parser.parse_args()
    write(options.results, options.into)


if __name__ == "__main__":
    main()
