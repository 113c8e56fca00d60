"""Time what the database layer does beside other ways to do it.

    uv run python -m benchmarks [calls | growth] [--quick] [--output FOLDER]

`calls` prints the ratios to code written by hand, of the lower quartiles, with their spread. Below 1 is
faster. `growth` prints milliseconds while rows, columns, callers and migrations
grow. Both write what they have measured as JSON and as SVG to the folder.
"""

import json
from pathlib import Path
from typing import Any

import click

from . import calls, chart, growth
from .projects import machine, print_table

DRAWN = ("async-postgresql", "async-postgresql, 1 ms away", "async-sqlite")


@click.command(help=__doc__)
@click.argument("what", type=click.Choice(["calls", "growth"]), default="calls")
@click.option("--quick", is_flag=True, help="Check that everything runs; the times mean nothing.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("benchmarks/results"))
def main(what: str, quick: bool, output: Path) -> None:
    found: dict[str, Any]
    if what == "calls":
        found = calls.measure(quick)
        seconds = found["seconds"]
        versions = [f"{name} {version}" for name, version in sorted(found["versions"].items())]
        note = f"{machine()}; {', '.join(versions)}"
        rows, texts = calls.table(seconds), 2
        drawn = [place for place in DRAWN if place in seconds]
        image = chart.draw(seconds, drawn, f"Time, where code by hand takes 1. {note}")
    else:
        found, note, texts = growth.measure(quick), machine(), 3
        rows, image = growth.table(found), growth.draw(found)
    print_table(rows, texts)
    click.echo(f"\n{note}")
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{what}.json").write_text(json.dumps(found, indent=1) + "\n")
    (output / f"{what}.svg").write_text(image)


if __name__ == "__main__":
    main()
