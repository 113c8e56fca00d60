"""What the processes of a test run share, so that each thing is made once."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from .variants import VARIANTS


class Shared:
    """A folder that belongs to all processes of a run."""

    def __init__(self, config: pytest.Config, factory: pytest.TempPathFactory) -> None:
        base = factory.getbasetemp()
        # The folder of a pytest-xdist worker lies in that of the run.
        self.folder = (base.parent if hasattr(config, "workerinput") else base) / "shared"
        self.folder.mkdir(exist_ok=True)

    def make(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the path `name`; `make` is called with it by the first process that asks."""
        path, made = self.folder / name, self.folder / f"{name}.made"
        with FileLock(self.folder / f"{name}.lock"):
            if not made.exists():
                make(path)
                made.touch()
        return path


class ByVariant(Mapping[str, Path]):
    """A folder for each variant, made when it is first looked up."""

    def __init__(self, make: Callable[[str], Path]) -> None:
        self.make = cache(make)

    def __getitem__(self, name: str) -> Path:
        if name not in VARIANTS:
            raise KeyError(name)
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(VARIANTS)

    def __len__(self) -> int:
        return len(VARIANTS)
