"""The manager: it owns the engine, the sessions and the schema of one database."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Self, TypeVar

from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from . import schema
from .base import Base
from .engine import make_engine
from .errors import Failure, failure_of
from .schema import DatabaseStatus, SyncResult

R = TypeVar("R")

# Alembic keeps the migration that is running in module globals: one at a time in each process.
_alembic_lock = threading.Lock()


class DatabaseManager:
    """Owns one database. Build one a process, and dispose of it at the end (or use `with`).

    `engine` is the SQLAlchemy engine, `Session` makes sessions, `alembic_cfg` is Alembic's
    configuration. A unit of work, committed at the end and rolled back on any error:

        with manager.Session.begin() as session:
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
        self.Session = sessionmaker(self.engine, expire_on_commit=False)
        self.alembic_cfg = schema.alembic_config(alembic_location, self.engine.url, engine_args)
        self.metadata = (base_model or Base).metadata
        self._revisions: dict[str, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.dispose()

    def run(self, work: Callable[[Session], R], *, attempts: int = 10) -> R:
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
                with self.Session.begin() as session:
                    return work(session)
            except SQLAlchemyError as error:
                failure = failure_of(error)
                if failure not in retried or attempt == attempts:
                    raise
                if failure is Failure.UNIQUE_VIOLATION:
                    retried.remove(failure)
            time.sleep(random.uniform(0, min(1, 0.01 * 2**attempt)))  # noqa: S311
        raise ValueError("attempts has to be at least 1")

    def create(self) -> None:
        """Create the tables from the models and record the newest revision, for tests.

        No migration runs. Raises SchemaError when the database is not empty.
        """
        self._run_schema_operation(schema.create, self.alembic_cfg, self.metadata)

    def upgrade(self, target: str = "head") -> None:
        """Run the migrations up to the revision `target`."""
        self._run_schema_operation(schema.upgrade, self.alembic_cfg, target)

    def downgrade(self, target: str) -> None:
        """Undo the migrations down to the revision `target`; "base" undoes them all."""
        self._run_schema_operation(schema.downgrade, self.alembic_cfg, target)

    def drop(self) -> None:
        """Drop all tables of the models, with what is in them."""
        self._run_schema_operation(schema.drop, self.alembic_cfg, self.metadata)

    def sync(self) -> SyncResult:
        """Bring the schema up to date, whether the database is empty, behind or there already.

        Raises SchemaError for a database with tables of ours that no migration made.
        """
        return self._run_schema_operation(schema.sync, self.alembic_cfg, self.metadata)

    def get_status(self, *, reread: bool = True) -> DatabaseStatus:
        """Return how the schema stands to the migrations. Raises ConnectionFailed.

        The migrations are read from disk. With `reread=False`, an earlier call's are used.
        """
        if reread or not self._revisions:
            self._revisions = schema.read_revisions(self.alembic_cfg)
        with self._reader.connect() as connection:
            return schema.status(connection, self._revisions, self.metadata)

    def get_current_revision(self, session: Session | None = None) -> str | None:
        """Return the revision that the database stands at, or None if no migration has run.

        With a session, it is read inside the session's transaction.
        """
        if session is None:
            with self.Session(bind=self._reader) as own_session:
                return self.get_current_revision(own_session)
        connection = session.connection()
        heads = schema.current_heads(connection)
        return ", ".join(heads) or None

    def get_latest_revision(self) -> str | None:
        """Return the newest revision, or all heads with commas between, or None without migrations."""
        return schema.latest_revision(self.alembic_cfg)

    def dispose(self) -> None:
        """Close the connections of the pool. The manager can be used again afterwards."""
        self.engine.dispose()

    def _run_schema_operation(self, work: Callable[..., R], *args: Any) -> R:
        while not _alembic_lock.acquire(blocking=False):
            time.sleep(0.01)
        try:
            with self._reader.connect() as connection:
                return work(connection, *args)
        finally:
            _alembic_lock.release()
