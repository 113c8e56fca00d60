"""The benchmark of the query functions runs, and finds that all subjects do the same."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.calls import WHO

pytestmark = pytest.mark.slow


def test_the_quick_benchmark_measures_every_subject_and_draws_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--quick", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "calls.json").read_text())
    assert len(found["seconds"]) == 4
    for operations in found["seconds"].values():
        assert len(operations) == 7
        assert {who for subjects in operations.values() for who in subjects} == set(WHO)
    root = ElementTree.parse(tmp_path / "calls.svg").getroot()  # noqa: S314
    assert root.tag.endswith("svg")
    assert "sqlalchemy-helpers" in result.output


def test_the_quick_benchmark_of_growth_draws_a_plot_of_each_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["growth", "--quick", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "growth.json").read_text())
    for points in found.values():
        assert set(points) == {"rows", "columns", "concurrency", "migrations"}
        assert all(len(line) == 2 for lines in points.values() for line in lines.values())
    image = (tmp_path / "growth.svg").read_text()
    lines = sum(len(lines) for points in found.values() for lines in points.values())
    assert image.count("<polyline") == lines
