"""Writing any number of rows takes no more memory than writing a thousand."""

from pathlib import Path

import pytest

from .support.releases import ROOT
from .support.run import is_full
from .support.tools import Tools

pytestmark = pytest.mark.slow

# In the full profile, a million. If all of them were kept, these would take more than 64 MiB, too.
ROWS = 300_000


# The projects' own tests do the same with fewer rows, in all variants.
@pytest.mark.parametrize("variant", ["async-postgresql", "sync-sqlite"])
def test_hundreds_of_thousands_of_rows_from_a_generator_take_at_most_64_mib(
    project: Path, database_url: str, tools: Tools
) -> None:
    probe = str(ROOT / "tests/probes/memory.py")
    rows = 1_000_000 if is_full() else ROWS
    output = tools.run(project, "python", probe, database_url, str(rows))
    grown, count = map(int, output.split())
    assert count == rows
    assert grown <= 64
