"""The benchmarks run, and find that all subjects do the same. In the full profile only."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from benchmarks import http
from benchmarks.__main__ import main
from benchmarks.calls import WHO

from .support.run import full

# Each installs packages for minutes, and says nothing about what is rendered.
pytestmark = [pytest.mark.slow, full]


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


def test_the_quick_benchmark_of_http_answers_every_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["http", "--quick"])
    http.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    errors = [row[-2] for row in rows if row and row[0].endswith("-postgresql")]
    assert errors == ["0"] * 2 * 3 * len(http.WHO)
