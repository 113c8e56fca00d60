"""Nothing that happens to a task keeps others from writing afterwards."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from .support.releases import ROOT
from .support.run import is_full
from .support.tools import Tools

pytestmark = pytest.mark.slow

# In the full profile, ten times as many.
TASKS = 1_000


@pytest.mark.parametrize("variant", ["async-sqlite", "async-postgresql"])
def test_tasks_cancelled_at_random_leave_nothing_behind(
    variant: str,
    database_url: str,
    rendered: Mapping[str, Path],
    tools: Tools,
) -> None:
    probe = str(ROOT / "tests/probes/cancellations.py")
    number = TASKS * 10 if is_full() else TASKS
    output = tools.run(rendered[variant], "python", probe, database_url, str(number))
    found = json.loads(output.splitlines()[-1])
    assert set(found["results"]) == {"CancelledError", "NoneType"}
    assert sum(found["results"].values()) == number
    assert found["written"] > 0
    assert found["half written"] == found["lost"] == []
    assert found["checked out"] == [0, 0]
    assert found.get("idle in transaction", 0) == 0
