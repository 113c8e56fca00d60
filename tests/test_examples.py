from pathlib import Path

import pytest

from .examples import EXAMPLES, render_example
from .support.releases import ROOT
from .support.structure import rendered_files


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_is_what_the_template_renders(name: str, tmp_path: Path) -> None:
    render_example(name, tmp_path / name)
    example, fresh = (
        {path.relative_to(folder).as_posix(): path.read_text() for path in rendered_files(folder)}
        for folder in (ROOT / "examples" / name, tmp_path / name)
    )
    assert example == fresh, "run: uv run python -m tests.examples"
