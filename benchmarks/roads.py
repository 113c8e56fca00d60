"""Readers and writers of an SQLite file, beside plain SQLAlchemy and the template before 2.0.0.

    uv run python -m benchmarks.roads

16 readers hold a session for 5 ms each, alone and beside a writer that holds one for 20 ms; then 32
writers take turns. Ours and plain SQLAlchemy, with WAL and a pool as large, take turns in one process
every half second, the template before 2.0.0 runs after them. The figures are medians.

The ratio is ours to theirs, of calls a second: above 1, ours is faster. `p99` and `longest` are how
long a call takes, in milliseconds.
"""

import statistics
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

from copier import run_copy

from tests.support.variants import VARIANTS

from .projects import ROOT, Projects, print_table, rendered_projects

# The last commit in which sessions of all kinds took turns.
BEFORE = "e0f5272"
ROUNDS = 3
TURNS = 5
SECONDS = 0.5
NAMES = ("async-sqlite", "sync-sqlite")
HEADER: list[object] = ["what", "project", "who", "a second", "ratio", "p99", "longest"]


def render_before(folder: Path) -> None:
    for name in NAMES:
        with warnings.catch_warnings(action="ignore"):
            run_copy(
                str(ROOT),
                folder / name,
                data=VARIANTS[name],
                vcs_ref=BEFORE,
                defaults=True,
                unsafe=True,
                quiet=True,
            )


def main() -> None:
    rows = [HEADER]
    with rendered_projects() as now, tempfile.TemporaryDirectory() as folder:
        render_before(Path(folder))
        before = Projects(Path(folder), now.server)
        for name in NAMES:
            found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
            for _ in range(ROUNDS):
                for who, projects in (("now", now), ("before", before)):
                    options: dict[str, Any] = {"who": who, "seconds": SECONDS, "turns": TURNS}
                    results = projects.run("roads", name, ["--no-dev"], **options)
                    for what, subjects in results.items():
                        for subject, figures in subjects.items():
                            found[what, subject] += figures
            for (what, who), figures in found.items():
                ratio = statistics.median(
                    one["rate"] / other["rate"]
                    for one, other in zip(found[what, "ours"], figures, strict=True)
                )
                medians = [
                    statistics.median(one[key] for one in figures)
                    for key in ("rate", "p99", "longest")
                ]
                numbers = [f"{number:.0f}" for number in medians]
                rows.append([what, name, who, numbers[0], f"{ratio:.2f}", *numbers[1:]])
    print_table(rows, 3)


if __name__ == "__main__":
    main()
