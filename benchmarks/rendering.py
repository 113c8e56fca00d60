"""How long `copier copy` takes, beside a template of two files: `uv run python -m benchmarks.rendering`."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 7


def seconds(template: Path, destination: Path) -> float:
    """Render a template once with the command, and return how long it took."""
    command = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "--quiet"]
    started = time.perf_counter()
    subprocess.run([*command, "--vcs-ref=HEAD", template, destination], check=True)
    return time.perf_counter() - started


def repository(folder: Path) -> Path:
    """Commit a template of two files."""
    folder.mkdir()
    (folder / "copier.yml").write_text("name:\n  type: str\n  default: world\n")
    (folder / "greeting.txt.jinja").write_text("Hello {{ name }}\n")
    (folder / "{{ _copier_conf.answers_file }}.jinja").write_text(
        "{{ _copier_answers | to_nice_yaml }}\n"
    )
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["commit", "--quiet", "--message=Two files"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        templates = {"two files": repository(folder / "two"), "this template": ROOT}
        measured: dict[str, list[float]] = {label: [] for label in templates}
        for number in range(ROUNDS):
            for label, template in templates.items():
                measured[label].append(seconds(template, folder / f"{label} {number}"))
    medians = {label: statistics.median(times) for label, times in measured.items()}
    for label, median in medians.items():
        print(f"{label}: {median:.2f} s")
    print(f"ratio: {medians['this template'] / medians['two files']:.2f}")


if __name__ == "__main__":
    main()
