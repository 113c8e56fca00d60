"""A new major version may change owners' files, a minor one may not; no line of theirs is lost."""

from pathlib import Path

import pytest

from .support.majors import check_conflict, comparable, touch
from .support.owner import edit
from .support.releases import LATER, NEXT, Template, contents, git, update
from .test_ownership import changed
from .test_updates import MARKERS

RELEASED = ["1.0.0", "1.1.0", "1.2.0"]
MODELS = "src/my_service/models.py"


@pytest.mark.parametrize(
    ("heading", "released", "expected"),
    [
        ("## Unreleased", RELEASED, RELEASED),
        ("## Unreleased: 1.3.0", RELEASED, RELEASED),
        ("## 1.3.0 - 2027-01-01", RELEASED, RELEASED),
        ("## 1.2.0 - 2026-12-01", RELEASED, RELEASED),
        ("## Unreleased: 2.0.0", RELEASED, []),
        ("## 2.0.0 - 2027-01-01", RELEASED, []),
        ("## 2.0.0 - 2027-01-01", [*RELEASED, "2.0.0"], ["2.0.0"]),
        ("## Unreleased", [*RELEASED, "2.0.0", "2.1.0"], ["2.0.0", "2.1.0"]),
        ("## Unreleased: 3.0.0", [*RELEASED, "2.0.0"], []),
        ("## Unreleased: 10.0.0", [*RELEASED, "9.0.0"], []),
    ],
)
def test_owners_files_are_compared_within_a_major_version(
    heading: str, released: list[str], expected: list[str]
) -> None:
    changelog = f"# Changelog\n\nOf 9.0.0.\n\n{heading}\n\nText.\n\n## 1.0.0 - 2026-11-21\n"
    assert comparable(changelog, released) == expected


@pytest.mark.slow
def test_a_change_of_an_owners_file_is_noticed(later: Template, tmp_path: Path) -> None:
    old = later.copy(tmp_path / "old", NEXT)
    later.change("models.py", "deleted_at: Mapped", "removed_at: Mapped")
    new = later.copy(tmp_path / "new", LATER)
    assert changed(contents(old), contents(new)) == {MODELS}


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ("abXde", "abYde", True),
        ("aXcde", "abYde", True),
        ("aXcde", "abcYe", False),
        ("abXcde", "abYcde", True),
        ("abde", "abcYe", True),
        ("Xabcde", "abcdeY", False),
    ],
)
def test_changes_touch_if_no_unchanged_line_is_between_them(
    mine: str, theirs: str, expected: bool
) -> None:
    assert touch(list("abcde"), list(mine), list(theirs)) is expected


@pytest.mark.slow
def test_a_conflict_with_a_major_version_keeps_what_the_owner_wrote(
    later: Template, tmp_path: Path
) -> None:
    project = later.copy(tmp_path / "service")
    base = contents(project)[MODELS]
    edit(project)
    mine = contents(project)[MODELS]
    later.change("models.py", "deleted_at: Mapped", "removed_at: Mapped")
    update(project, LATER)
    merged = contents(project)[MODELS]
    theirs = contents(later.copy(tmp_path / "new", LATER))[MODELS]
    assert git(project, "diff", "--name-only", "--diff-filter=U").split() == [MODELS]
    assert MARKERS.search(merged)
    check_conflict(base, mine, theirs, merged)
    with pytest.raises(AssertionError, match="email"):
        check_conflict(base, mine, theirs, merged.replace(b"    email:", b"    mail:"))
    with pytest.raises(AssertionError, match="apart"):
        check_conflict(base, mine, base, merged)
