"""Transactions that `manager.run` retries, and those that it does not."""

import pytest
from sqlalchemy import exc, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import AsyncDatabaseManager

from .models import Page


@pytest.mark.parametrize(
    "failing",
    [
        "SELECT pg_terminate_backend(pg_backend_pid())",
        # As on a server that has become a standby.
        "SET TRANSACTION READ ONLY",
    ],
)
async def test_what_fails_before_its_commit_is_run_again(
    tables: AsyncDatabaseManager,
    failing: str,
) -> None:
    attempts = []

    async def work(session: AsyncSession) -> None:
        attempts.append(session)
        if len(attempts) == 1:
            await session.execute(text(failing))
        # Sent after the end of `work`.
        session.add(Page(path="/"))

    await tables.run(work)
    assert len(attempts) == 2
    async with tables.Session() as session:
        paths = await session.scalars(select(Page.path))
        assert paths.all() == ["/"]


async def test_a_connection_that_is_lost_during_commit_is_not_tried_again(
    tables: AsyncDatabaseManager,
) -> None:
    attempts = []
    at_commit = (
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON layer_test_pages"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    async with tables.Session.begin() as session:
        for statement in at_commit:
            await session.execute(text(statement))

    async def work(session: AsyncSession) -> None:
        attempts.append(session)
        session.add(Page(path="/"))

    with pytest.raises(exc.DBAPIError) as raised:
        await tables.run(work)
    assert "may have been committed" in raised.value.__notes__[0]
    assert len(attempts) == 1
