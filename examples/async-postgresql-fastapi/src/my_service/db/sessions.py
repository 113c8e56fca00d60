"""Sessions that end their transaction when they are garbage-collected."""

import warnings

from sqlalchemy.ext.asyncio import AsyncSession


class ClosingSession(AsyncSession):
    """A session that ends its transaction when it is collected without having been closed."""

    def __del__(self) -> None:
        if self.in_transaction():
            self.sync_session.invalidate()
            warnings.warn("a session was not closed", ResourceWarning, source=self, stacklevel=2)
