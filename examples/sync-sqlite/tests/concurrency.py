"""Run many calls at the same time, in threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_concurrently(work: Callable[[T], R], items: Iterable[T], workers: int = 32) -> list[R]:
    """Call `work` with every item, `workers` at a time; return the results in order."""
    with ThreadPoolExecutor(workers) as executor:
        return list(executor.map(work, items))
