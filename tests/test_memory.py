"""Writing a million rows takes no more memory than writing a thousand."""

from pathlib import Path

import pytest

from .conftest import ROOT, Tools

pytestmark = pytest.mark.slow

ROWS = 1_000_000


# The projects' own tests do the same with fewer rows, in all variants.
@pytest.mark.parametrize("variant", ["async-postgresql", "sync-sqlite"])
def test_a_million_rows_from_a_generator_take_at_most_64_mib(
    project: Path, database_url: str, tools: Tools
) -> None:
    probe = str(ROOT / "tests/probes/memory.py")
    output = tools.run(project, "python", probe, database_url, str(ROWS))
    grown, count = map(int, output.split())
    assert count == ROWS
    assert grown <= 64
