"""Time the query functions beside other ways to do the same, in one process, in turns.

`hand` is `select(Model).filter_by(...)`, and adding and flushing what was not found, which loses
races; `driver` is the driver alone, which returns tuples. Each subject's rows are checked.
"""

from contextlib import ExitStack
from typing import Any

from tests.support.variants import VARIANTS
from tests.support.wire import counting_proxy

from .projects import NAMES, machine, rendered_projects

DRIVERS = dict(zip(NAMES, ("asyncpg", "psycopg", "aiosqlite", "sqlite3"), strict=True))
OTHERS = ("sqlalchemy-helpers", "advanced-alchemy")
WHO = ["hand", "floor", "floor, returning=False", "ours", "ours, returning=False"]
WHO += ["ancestor", "advanced-alchemy", "driver"]
# Label, project, seconds that each answer of the server is late.
PLACES = [(name, name, 0.0) for name in NAMES]
PLACES += [(f"{name}, 1 ms away", name, 0.001) for name in NAMES if "postgresql" in name]
FULL = {"calls": 10, "rounds": 36, "many": 2_000, "many_rounds": 4}
DELAYED = {"calls": 10, "rounds": 15, "many": 2_000, "many_rounds": 2}
QUICK = {"calls": 10, "rounds": 1, "many": 100, "many_rounds": 1}

Seconds = dict[str, dict[str, dict[str, list[float]]]]


def measure(quick: bool) -> dict[str, Any]:
    """Return the machine, the versions, and for each place, operation and subject the seconds."""
    seconds: Seconds = {}
    versions: dict[str, str] = {}
    with rendered_projects() as projects:
        for label, name, delay in PLACES[2:] if quick else PLACES:
            sizes = QUICK if quick else DELAYED if delay else FULL
            url = projects.new_database(VARIANTS[name]["database"])
            with ExitStack() as stack:
                if delay:
                    url = stack.enter_context(counting_proxy(url, delay=delay)).url
                options = ["--no-dev", *(f"--with={other}" for other in OTHERS)]
                context = {"driver": DRIVERS[name], **sizes}
                found = projects.run("calls", name, options, url=url, **context)
            seconds[label] = found["seconds"]
            versions |= found["versions"]
    return {"machine": machine(), "versions": versions, "seconds": seconds}


def ratios(subject: list[float], hand: list[float]) -> tuple[float, float, float]:
    """Return the ratio of the lower quartiles, and the limits of its spread.

    The spread is that of the ratios of the minima, the lower quartiles and the medians: other work
    of the machine makes times longer, never shorter.
    """
    found = [_at(subject, share) / _at(hand, share) for share in (0.25, 0, 0.5)]
    return found[0], min(found), max(found)


def _at(times: list[float], share: float) -> float:
    return sorted(times)[int(share * (len(times) - 1))]


def table(seconds: Seconds) -> list[list[str]]:
    """Return a row for each operation and subject, a column for each place."""
    rows = [["operation", "subject", *seconds]]
    for operation, subjects in next(iter(seconds.values())).items():
        for who in sorted(subjects, key=WHO.index):
            cells = []
            for place in seconds.values():
                measured = place[operation]
                ratio, low, high = ratios(measured[who], measured["hand"])
                cells.append(f"{ratio:.2f} ({low:.2f}-{high:.2f})")
            rows.append([operation, who, *cells])
    return rows
