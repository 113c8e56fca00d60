"""Sessions that end when they are dropped."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import ref

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction


class ClosingSession(Session):
    """Ends its transaction when it is dropped without being closed."""

    def __del__(self) -> None:
        if self.in_transaction():
            # The garbage collector has ended the transaction of what it collects.
            with suppress(AttributeError):
                self.invalidate()
            warnings.warn("a session was not closed", ResourceWarning, source=self, stacklevel=2)


class _Transaction(SessionTransaction):
    reference: Callable[[], Session]

    @property
    def session(self) -> Session:  # type: ignore[override]
        return self.reference()


@event.listens_for(ClosingSession, "after_transaction_create")
def _refer_weakly(session: Session, transaction: Any) -> None:
    # Otherwise the two refer to each other, and only the garbage collector drops them.
    del transaction.session
    transaction.reference = ref(session)
    transaction.__class__ = _Transaction
