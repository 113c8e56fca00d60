"""Time what the database layer does beside other ways to do it.

    uv run python -m benchmarks [--quick] [--output FOLDER]

Prints the ratios to code written by hand: the median of the rounds, with the smallest and the largest.
Below 1 is faster. Writes calls.json and calls.svg to the folder.
"""

import json
from pathlib import Path

import click

from .calls import measure, table
from .chart import draw
from .projects import print_table

DRAWN = ("async-postgresql", "async-postgresql, 1 ms away", "async-sqlite")


@click.command(help=__doc__)
@click.option(
    "--quick", is_flag=True, help="Check that all subjects do the same; the times mean nothing."
)
@click.option("--output", type=click.Path(path_type=Path), default=Path("benchmarks/results"))
def main(quick: bool, output: Path) -> None:
    found = measure(quick)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found["versions"].items()))
    print_table(table(found["seconds"]), 2)
    print(f"\n{found['machine']}; {versions}")
    output.mkdir(parents=True, exist_ok=True)
    (output / "calls.json").write_text(json.dumps(found, indent=1) + "\n")
    drawn = [place for place in DRAWN if place in found["seconds"]]
    note = f"Time, by hand = 1; less is faster. {found['machine']}; {versions}"
    (output / "calls.svg").write_text(draw(found["seconds"], drawn, note))


if __name__ == "__main__":
    main()
