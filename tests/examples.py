"""Renders the committed examples anew: `uv run python -m tests.examples`."""

import shutil
import tempfile
import warnings
from pathlib import Path

from copier import run_copy

from .support.releases import copy_working_tree
from .support.variants import VARIANTS

ROOT = Path(__file__).parents[1]
EXAMPLES = {
    "async-postgresql-fastapi": "A service that greets its users",
    "sync-sqlite": "A list of names, kept in a file",
}


def render_example(name: str, destination: Path) -> None:
    """Render an example from the working tree, with nothing in it that depends on the place."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        copy_working_tree(source)
        with warnings.catch_warnings(action="ignore"):
            run_copy(
                str(source),
                destination,
                data={**VARIANTS[name], "description": EXAMPLES[name]},
                defaults=True,
                unsafe=True,
                quiet=True,
            )
    answers = destination / ".copier-answers.yml"
    lines = answers.read_text().splitlines(keepends=True)
    answers.write_text("".join(line for line in lines if not line.startswith("_src_path")))


def main() -> None:
    for name in EXAMPLES:
        folder = ROOT / "examples" / name
        shutil.rmtree(folder, ignore_errors=True)
        render_example(name, folder)


if __name__ == "__main__":
    main()
