from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncSession

from .models import Page


async def test_an_instant_comes_back_in_utc(table_session: AsyncSession) -> None:
    given = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    page, _ = await Page.get_or_create(table_session, path="/", seen_at=given)
    await table_session.refresh(page)
    assert page.seen_at == given
    assert page.seen_at.tzinfo is UTC
    assert await Page.get_one(table_session, seen_at=given.astimezone(UTC)) is page


async def test_a_naive_datetime_is_refused(table_session: AsyncSession) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        await Page.get_one(table_session, seen_at=datetime(2026, 1, 1))
