"""How long `copier copy` takes, beside other templates: `uv run python -m benchmarks.rendering`.

Copier starts `git config` for each file that it writes. The last line is this template without those
processes, which is what it could take if Copier asked once.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 7
FILES = {"copier.yml": "name:\n  type: str\n  default: world\n"}
ANSWERS = {"{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}\n"}
COPIER = [sys.executable, "-m", "copier"]
WITHOUT_GIT = """
import copier._main, sys
copier._main.Worker._sync_git_index_executable_bit = lambda *arguments: None
from copier._cli import CopierApp
sys.exit(CopierApp.run(["copier", *sys.argv[1:]], exit=False)[1])
"""


def seconds(command: list[str], template: Path, destination: Path) -> float:
    """Render a template once with the command, and return how long it took."""
    options = ["copy", "--trust", "--defaults", "--quiet", "--vcs-ref=HEAD"]
    started = time.perf_counter()
    subprocess.run([*command, *options, template, destination], check=True)
    return time.perf_counter() - started


def repository(folder: Path, files: dict[str, str]) -> Path:
    """Commit a template of these files."""
    folder.mkdir()
    for name, content in (FILES | ANSWERS | files).items():
        (folder / name).write_text(content)
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["commit", "--quiet", "--message=A template"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds(COPIER, ROOT, folder / "counted")
        count = sum(path.is_file() for path in (folder / "counted").rglob("*"))
        many = {f"{number}.txt": "" for number in range(count)}
        greeting = {"greeting.txt.jinja": "Hello {{ name }}\n"}
        subjects = {
            "two files": (COPIER, repository(folder / "two", greeting)),
            f"{count} empty files": (COPIER, repository(folder / "many", many)),
            "this template": (COPIER, ROOT),
            "this template, without git": ([sys.executable, "-c", WITHOUT_GIT], ROOT),
        }
        measured: dict[str, list[float]] = {label: [] for label in subjects}
        for number in range(ROUNDS):
            for label, (command, template) in subjects.items():
                measured[label].append(seconds(command, template, folder / f"{label} {number}"))
    base = statistics.median(measured["two files"])
    for label, times in measured.items():
        low, high = min(times), max(times)
        median = statistics.median(times)
        print(f"{label}: {median:.2f} s ({low:.2f}-{high:.2f}), {median / base:.2f} x two files")


if __name__ == "__main__":
    main()
