"""The writing connection is returned by sessions that were not closed."""

import gc
from contextlib import suppress

import pytest
from sqlalchemy import exc, text

from my_service.db import DatabaseManager

from .models import visit


@pytest.mark.filterwarnings("ignore:a session was not closed", "ignore:The garbage collector")
def test_a_session_that_an_error_has_left_open_is_closed_for_who_queues(
    pages: DatabaseManager,
) -> None:
    def fail() -> None:
        session = pages.Session()
        session.execute(text("nonsense"))

    gc.disable()
    try:
        # The error refers to its traceback, and the traceback to the session and to the error.
        with suppress(exc.OperationalError):
            fail()
        visit(pages)
    finally:
        gc.enable()
