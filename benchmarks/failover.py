"""Draw what a failover looks like, from the counts of the cluster test.

    FAILOVER=/tmp uv run pytest -n2 tests/test_cluster.py
    uv run python -m benchmarks.failover /tmp/synchronous.json failover.svg

The picture has a panel for each service: writes a second in blue, answers with 503 in red, and a line
at each moment at which something happened to the cluster.
"""

import json
import sys
from pathlib import Path
from typing import Any

WIDTH, PANEL, LEFT, TOP = 960, 150, 56, 64
TEXT = 'font-family="system-ui, sans-serif" font-size="12" fill="#7d8590"'


def line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def bars(counts: dict[int, int], bottom: float, scale: Any, height: float, color: str) -> list[str]:
    """Return a bar for each second, upwards for a positive height."""
    found = []
    for second, count in sorted(counts.items()):
        size = abs(height) * count
        y = bottom - size if height > 0 else bottom
        x, width = scale(second), scale(second + 1) - scale(second)
        found.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width - 0.5, 0.5):.1f}"'
            f' height="{size:.1f}" fill="{color}"/>'
        )
    return found


def per_second(counts: dict[str, dict[str, int]], *names: str) -> dict[int, int]:
    """Return the sum of some counts for each second."""
    total: dict[int, int] = {}
    for name in names:
        for second, count in counts.get(name, {}).items():
            total[int(second)] = total.get(int(second), 0) + count
    return total


def picture(found: dict[str, Any]) -> str:
    services, events = found["services"], found["events"]
    end: float = max(event["until"] for event in events) + 1
    height = TOP + PANEL * len(services) + 34

    def scale(second: float) -> float:
        return LEFT + (WIDTH - LEFT - 16) * second / end

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-label="Writes and errors a second while the leader of a cluster changes">'
    ]
    for number, event in enumerate(events):
        x, y = scale(event["at"]), 16 + 14 * (number % 3)
        parts.append(line(x, y + 4, x, height - 30, 'stroke="#7d8590" stroke-dasharray="3 3"'))
        side, x = ("end", x - 4) if x > 0.8 * WIDTH else ("start", x + 4)
        name = f'<text x="{x:.1f}" y="{y}" text-anchor="{side}" {TEXT}>{event["name"]}</text>'
        parts.append(name)
    for number, (io, counts) in enumerate(services.items()):
        bottom = TOP + PANEL * number + PANEL - 50
        writes = per_second(counts, "POST")
        errors = per_second(counts, "POST failed", "GET failed")
        up = (PANEL - 62) / max([1, *writes.values()])
        parts.append(f'<text x="{LEFT}" y="{bottom - PANEL + 60}" {TEXT}>{io}</text>')
        parts += bars(writes, bottom, scale, up, "#4493f8")
        parts += bars(errors, bottom, scale, -40 / max([1, *errors.values()]), "#f85149")
        parts.append(line(LEFT, bottom, WIDTH - 16, bottom, 'stroke="#7d8590"'))
        for y, count in (
            (bottom - PANEL + 66, max(writes.values())),
            (bottom + 40, max(errors.values())),
        ):
            parts.append(f'<text x="{LEFT - 6}" y="{y}" text-anchor="end" {TEXT}>{count}</text>')
    for second in range(0, int(end), 10):
        x, y = scale(second), height - 12
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle" {TEXT}>{second} s</text>')
    label = "above: writes a second; below: answers 503 a second"
    parts.append(f'<text x="{WIDTH - 16}" y="{height}" text-anchor="end" {TEXT}>{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def main(source: str, target: str) -> None:
    Path(target).write_text(picture(json.loads(Path(source).read_text())))


if __name__ == "__main__":
    main(*sys.argv[1:])
