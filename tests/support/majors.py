"""What a new major version may do to owners' files, and what it may not."""

import re
from difflib import SequenceMatcher


def comparable(changelog: str, released: list[str]) -> list[str]:
    """Return the released versions whose owners' files have to be those of the working tree.

    They have the first number of the newest one, or that of the changelog's first heading, such as
    `## Unreleased: 2.0.0`, if that is larger: then there may be none.
    """
    [heading] = re.findall(
        r"\A.*?^## (?:Unreleased$|(?:Unreleased: )?(\d+)\.)", changelog, re.M | re.S
    )
    major = max(int(released[-1].split(".")[0]), int(heading or 0))
    return [version for version in released if int(version.split(".")[0]) == major]


def touch(base: list[str], mine: list[str], theirs: list[str]) -> bool:
    """Tell whether both have changed the same line, or two with no line between them."""
    changes = [
        [(start, end) for tag, start, end, _, _ in matcher.get_opcodes() if tag != "equal"]
        for matcher in (SequenceMatcher(None, base, side, False) for side in (mine, theirs))
    ]
    return any(a <= d and c <= b for a, b in changes[0] for c, d in changes[1])


def check_conflict(base: bytes, mine: bytes, theirs: bytes, merged: bytes) -> None:
    """Check that a conflict could not be avoided, and that it shows all that the owner wrote."""
    old, ours, new = (text.decode().splitlines() for text in (base, mine, theirs))
    assert touch(old, ours, new), "both have changed lines that are apart"
    lost = {*ours} - {*old} - {*merged.decode().splitlines()}
    assert not lost, sorted(lost)
