"""Sessions that end their transaction when they are garbage-collected."""

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import ref

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction


class ClosingSession(Session):
    """A session that ends its transaction when it is collected without having been closed."""

    def __del__(self) -> None:
        if self.in_transaction():
            # Raised if the garbage collector has cleared the weak reference to the session.
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
    # Without the cycle of references, a session that is dropped is collected at once.
    del transaction.session
    transaction.reference = ref(session)
    transaction.__class__ = _Transaction
