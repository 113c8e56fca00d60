"""The races that the benchmark runs beside the ancestor, run here for what must hold."""

from collections.abc import Iterator

import pytest

from benchmarks.projects import NAMES, Projects, rendered_projects
from benchmarks.races import INCREMENTS, KEYS, SUBJECTS

from .support.run import is_full
from .support.variants import VARIANTS

pytestmark = pytest.mark.slow

CALLERS = 32


@pytest.fixture(scope="module")
def projects() -> Iterator[Projects]:
    with rendered_projects() as projects:
        yield projects


@pytest.mark.parametrize("name", NAMES)
def test_of_32_callers_for_each_key_one_creates_the_row_and_no_update_is_lost(
    name: str, projects: Projects
) -> None:
    part = 1 if is_full() else 8
    keys, increments = KEYS[VARIANTS[name]["database"]] // part, INCREMENTS // part
    results = projects.run(
        "races", name, SUBJECTS["ours"], who="ours", keys=keys, increments=increments
    )
    for what in ("get_or_create", "update_or_create"):
        result = results[what]
        assert result["errors"] == {}
        assert result["calls"] == CALLERS * keys
        assert result["rows"] == result["created"] == keys
    result = results["update_or_create, visits += 1"]
    assert result["errors"] == {}
    assert result["visits"] == CALLERS * increments
