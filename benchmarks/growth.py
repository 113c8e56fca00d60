"""Time what the layer does while rows, columns, callers and migrations grow, and draw it."""

import math
from typing import Any

from .chart import frame, text
from .projects import NAMES, rendered_projects

SIZES = {
    "rows": [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
    "columns": [2, 8, 32, 128],
    "concurrency": [1, 2, 4, 8, 16, 32, 64],
    "migrations": [1, 5, 25, 100, 500],
}
QUICK = {name: sizes[:2] for name, sizes in SIZES.items()}
COLORS = ("#1a73e8", "#d93025", "#188038", "#f29900")
WIDTH, HEIGHT, MARGIN, GAP = 420, 190, 60, 100

Points = dict[str, dict[str, list[list[float]]]]


def measure(quick: bool) -> dict[str, Points]:
    """Return for each project, and for what grows, the lines: points of a size and its seconds."""
    found: dict[str, Points] = {}
    with rendered_projects() as projects:
        for name in NAMES[:1] + NAMES[3:] if quick else NAMES:
            context: dict[str, Any] = {"sizes": QUICK if quick else SIZES}
            found[name] = projects.run("growth", name, [], **context)
    return found


def table(found: dict[str, Points]) -> list[list[str]]:
    """Return a row for each project and line: the milliseconds of each size."""
    rows = [["grows", "line", "project", "milliseconds"]]
    for name, points in found.items():
        for what, lines in points.items():
            for line, measured in lines.items():
                cells = [f"{size:,.0f}: {seconds * 1000:.3g}" for size, seconds in measured]
                rows.append([what, line, name, "  ".join(cells)])
    return [rows[0], *sorted(rows[1:])]


def draw(found: dict[str, Points]) -> str:
    """Return a plot for each thing that grows and each line; both axes are logarithmic."""
    parts: list[str] = []
    plots = [(what, line) for what, lines in next(iter(found.values())).items() for line in lines]
    for number, (what, line) in enumerate(plots):
        x = MARGIN + number % 2 * (WIDTH + GAP)
        y = 40 + number // 2 * (HEIGHT + 60)
        parts.append(text(x, y - 8, f"{line}, by {what}"))
        lines = {name: points[what][line] for name, points in found.items()}
        parts += plot(lines, x, y)
    for number, name in enumerate(found):
        parts.append(text(MARGIN + number * 160, 14, name, COLORS[number]))
    return frame(parts, MARGIN + 2 * (WIDTH + GAP), 60 + (len(plots) + 1) // 2 * (HEIGHT + 60))


def plot(lines: dict[str, list[list[float]]], x: int, y: int) -> list[str]:
    sizes = [size for size, _ in next(iter(lines.values()))]
    seconds = [seconds for points in lines.values() for _, seconds in points]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    wide = math.log10(max(sizes)) - math.log10(min(sizes))

    def across(size: float) -> float:
        return x + (math.log10(size) - math.log10(min(sizes))) / wide * WIDTH

    def down(second: float) -> float:
        return y + HEIGHT - (math.log10(second) - low) / max(high - low, 1) * HEIGHT

    parts = [f"<rect x='{x}' y='{y}' width='{WIDTH}' height='{HEIGHT}' fill='#f8f9fa'/>"]
    for size in sizes:
        parts.append(text(int(across(size)) - 8, y + HEIGHT + 14, f"{size:,.0f}"))
    for power in range(low, high + 1):
        parts.append(text(x - 52, int(down(10.0**power)) + 4, f"{10.0**power * 1000:g} ms"))
    for (_, points), color in zip(lines.items(), COLORS, strict=False):
        path = " ".join(f"{across(size):.0f},{down(second):.0f}" for size, second in points)
        parts.append(f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='2'/>")
    return parts
