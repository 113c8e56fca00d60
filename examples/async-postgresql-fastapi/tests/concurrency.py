"""Run many calls at the same time, as tasks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def run_concurrently(
    work: Callable[[T], Awaitable[R]],
    items: Iterable[T],
    workers: int = 32,
) -> list[R]:
    """Call `work` with every item, `workers` at a time; return the results in order."""
    limit = asyncio.Semaphore(workers)

    async def call(item: T) -> R:
        async with limit:
            return await work(item)

    return await asyncio.gather(*(call(item) for item in items))
