from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from .models import Page


def test_an_instant_comes_back_in_utc(table_session: Session) -> None:
    given = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    page, _ = Page.get_or_create(table_session, path="/", seen_at=given)
    table_session.refresh(page)
    assert page.seen_at == given
    assert page.seen_at.tzinfo is UTC
    assert Page.get_one(table_session, seen_at=given.astimezone(UTC)) is page


def test_a_naive_datetime_is_refused(table_session: Session) -> None:
    with pytest.raises(StatementError, match="has no time zone"):
        Page.get_one(table_session, seen_at=datetime(2026, 1, 1))
