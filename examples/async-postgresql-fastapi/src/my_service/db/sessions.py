"""Sessions that end when they are dropped."""

import warnings

from sqlalchemy.ext.asyncio import AsyncSession


class ClosingSession(AsyncSession):
    """Ends its transaction when it is dropped without being closed."""

    def __del__(self) -> None:
        if self.in_transaction():
            self.sync_session.invalidate()
            warnings.warn("a session was not closed", ResourceWarning, source=self, stacklevel=2)
