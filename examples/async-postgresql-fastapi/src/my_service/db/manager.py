"""The manager: it owns the engine, the sessions and the schema of one database."""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Mapping
from os import PathLike
from typing import Any, Self, TypeVar

from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase

from . import schema
from .base import Base
from .engine import make_engine
from .errors import Failure, failure_of
from .schema import DatabaseStatus, SyncResult

R = TypeVar("R")

# Alembic keeps the migration that is running in module globals: one at a time in each process.
_alembic_lock = threading.Lock()


class AsyncDatabaseManager:
    """Owns one database. Build one a process, and dispose of it at the end (or use `with`).

    `engine` is the SQLAlchemy engine, `Session` makes sessions, `alembic_cfg` is Alembic's
    configuration. A unit of work, committed at the end and rolled back on any error:

        async with manager.Session.begin() as session:
            session.add(User(name="ada"))
    """

    def __init__(
        self,
        url: str | URL,
        alembic_location: str | PathLike[str],
        *,
        engine_args: Mapping[str, Any] | None = None,
        base_model: type[DeclarativeBase] | None = None,
    ) -> None:
        """Take the database's URL, the folder of the migrations, and arguments for the engine.

        `base_model` is the base of the models, if it is not `Base`. No connection is opened yet.
        Raises ConfigurationError for a URL that cannot be served.
        """
        self.engine = make_engine(url, engine_args)
        self._reader = self.engine.execution_options(sqlite_begin="DEFERRED")
        self.Session = async_sessionmaker(self.engine, expire_on_commit=False)
        self.alembic_cfg = schema.alembic_config(alembic_location, self.engine.url, engine_args)
        self.metadata = (base_model or Base).metadata
        self._revisions: dict[str, bool] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.dispose()

    async def run(self, work: Callable[[AsyncSession], Awaitable[R]], *, attempts: int = 10) -> R:
        """Call `work` with a session in a transaction of its own, commit, and return its result.

        If the transaction fails because of a concurrent one (a serialization failure, a deadlock,
        SQLite's busy snapshot), `work` is called again, with a new session and after a growing
        random pause of at most a second, `attempts` times in all. A unique violation gets one more
        try: under SERIALIZABLE, a lost race looks like one.

        So `work` may run several times: it may not commit, nor send mail or do anything else that
        cannot be done twice, and it hands out objects only by returning them.
        Raises what `work` raises, and the last failure when all attempts have failed.
        """
        retried = {Failure.SERIALIZATION, Failure.UNIQUE_VIOLATION}
        for attempt in range(1, attempts + 1):
            try:
                async with self.Session.begin() as session:
                    return await work(session)
            except SQLAlchemyError as error:
                failure = failure_of(error)
                if failure not in retried or attempt == attempts:
                    raise
                if failure is Failure.UNIQUE_VIOLATION:
                    retried.remove(failure)
            await asyncio.sleep(random.uniform(0, min(1, 0.01 * 2**attempt)))  # noqa: S311
        raise ValueError("attempts has to be at least 1")

    async def create(self) -> None:
        """Create the tables from the models and record the newest revision, for tests.

        No migration runs. Raises SchemaError when the database is not empty.
        """
        await self._run_schema_operation(schema.create, self.alembic_cfg, self.metadata)

    async def upgrade(self, target: str = "head") -> None:
        """Run the migrations up to the revision `target`."""
        await self._run_schema_operation(schema.upgrade, self.alembic_cfg, target)

    async def downgrade(self, target: str) -> None:
        """Undo the migrations down to the revision `target`; "base" undoes them all."""
        await self._run_schema_operation(schema.downgrade, self.alembic_cfg, target)

    async def drop(self) -> None:
        """Drop all tables of the models, with what is in them."""
        await self._run_schema_operation(schema.drop, self.alembic_cfg, self.metadata)

    async def sync(self) -> SyncResult:
        """Bring the schema up to date, whether the database is empty, behind or there already.

        Raises SchemaError for a database with tables of ours that no migration made.
        """
        return await self._run_schema_operation(schema.sync, self.alembic_cfg, self.metadata)

    async def get_status(self, *, reread: bool = True) -> DatabaseStatus:
        """Return how the schema stands to the migrations. Raises ConnectionFailed.

        The migrations are read from disk. With `reread=False`, an earlier call's are used.
        """
        if reread or not self._revisions:
            # In a thread, because reading many files would stall the event loop.
            self._revisions = await asyncio.to_thread(schema.read_revisions, self.alembic_cfg)
        async with self._reader.connect() as connection:
            return await connection.run_sync(schema.status, self._revisions, self.metadata)

    async def get_current_revision(self, session: AsyncSession | None = None) -> str | None:
        """Return the revision that the database stands at, or None if no migration has run.

        With a session, it is read inside the session's transaction.
        """
        if session is None:
            async with self.Session(bind=self._reader) as own_session:
                return await self.get_current_revision(own_session)
        connection = await session.connection()
        heads = await connection.run_sync(schema.current_heads)
        return ", ".join(heads) or None

    async def get_latest_revision(self) -> str | None:
        """Return the newest revision, or all heads with commas between, or None without migrations."""
        return schema.latest_revision(self.alembic_cfg)

    async def dispose(self) -> None:
        """Close the connections of the pool. The manager can be used again afterwards."""
        await self.engine.dispose()

    async def _run_schema_operation(self, work: Callable[..., R], *args: Any) -> R:
        while not _alembic_lock.acquire(blocking=False):
            await asyncio.sleep(0.01)
        try:
            async with self._reader.connect() as connection:
                return await connection.run_sync(work, *args)
        finally:
            _alembic_lock.release()
