"""The manager of a database: its engines, its sessions and its schema."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, Self, TypeVar

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from . import schema
from .base import Base
from .engine import make_engine, make_read_engine
from .errors import ConnectionFailed, Failure, SchemaError
from .failures import failure_of
from .schema import DatabaseStatus, SyncResult
from .sessions import ClosingSession

R = TypeVar("R")

# Because Alembic has module globals for the current migration, a process runs one at a time.
_alembic_lock = threading.Lock()


class DatabaseManager:
    """Owns one database. Build one per process, and dispose of it at the end (or use `with`).

    `Session` makes sessions that may write. In sessions of `ReadSession`, the database refuses to
    write, and each statement runs without a transaction. A unit of work is committed at the end and
    rolled back on any error:

        with manager.Session.begin() as session:
            session.add(User(name="ada"))

    To read several times from one snapshot, or to stream rows, begin a read session with

        session.connection(execution_options=SNAPSHOT)
    """

    def __init__(
        self,
        url: str | URL,
        alembic_location: str | PathLike[str],
        *,
        engine_args: Mapping[str, Any] | None = None,
        base_model: type[DeclarativeBase] | None = None,
    ) -> None:
        """Set up the engines, without connecting; see `make_engine` for `engine_args`.

        `alembic_location` is the folder of the migrations; `base_model` is the base of the models,
        if it is not `Base`. Raises ConfigurationError.
        """
        self.engine = make_engine(url, engine_args)
        self.read_engine = make_read_engine(self.engine, engine_args)
        options: Any = {"class_": ClosingSession, "expire_on_commit": False}
        # Because a closed session would begin another transaction if it were used, refuse its use.
        options["close_resets_only"] = False
        self.Session = sessionmaker(self.engine, **options)
        self.ReadSession = sessionmaker(self.read_engine, **options)
        self.alembic_cfg = schema.alembic_config(alembic_location, self.engine.url, engine_args)
        self.schema_engine = self.read_engine
        if engine_args and engine_args.get("read_url"):
            # On the primary, because a replica may lag behind.
            self.schema_engine = make_read_engine(self.engine, {**engine_args, "read_url": None})
        self.metadata = (base_model or Base).metadata
        self._revisions: dict[str, bool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.dispose()

    def run(self, work: Callable[[Session], R], *, attempts: int = 10) -> R:
        """Call `work` with a session in a transaction of its own, commit, and return its result.

        If the transaction has certainly had no effect (a serialization failure, no connection, a server
        that only reads, a connection lost before COMMIT), `work` is called again, with a new session
        and after a growing random pause of at most a second, `attempts` times in all; after a unique
        violation once, because under SERIALIZABLE a lost race looks like one. A connection lost during
        COMMIT is not tried again: the server may have committed, and `work` would be done twice.

        So `work` may not commit, nor do anything else that cannot be done twice, and it hands out
        objects only by returning them. Raises what the last attempt has raised.
        """
        retried = {Failure.DISCONNECTED, Failure.READ_ONLY, Failure.SERIALIZATION}
        retried |= {Failure.TOO_MANY_CONNECTIONS, Failure.UNIQUE_VIOLATION, Failure.UNREACHABLE}
        for attempt in range(1, attempts + 1):
            harmless = {*retried}
            try:
                with self.Session() as session:
                    result = work(session)
                    session.flush()
                    harmless.remove(Failure.DISCONNECTED)
                    session.commit()
                    return result
            except SQLAlchemyError as error:
                failure = failure_of(error)
                if failure is Failure.DISCONNECTED and failure not in harmless:
                    error.add_note("Not tried again: the transaction may have been committed.")
                if failure not in harmless or attempt == attempts:
                    raise
                if failure is Failure.UNIQUE_VIOLATION:
                    retried.remove(failure)
            time.sleep(random.uniform(0, min(1, 0.01 * 2**attempt)))  # noqa: S311
        raise ValueError("attempts has to be at least 1")

    def create(self) -> None:
        """Create the tables of the models, without migrations. Raises SchemaError if any exist."""
        self._run_on(self.engine, schema.create, self.alembic_cfg, self.metadata)

    def upgrade(self, target: str = "head") -> None:
        """Run the migrations up to the revision `target`."""
        state = self._get_state()
        # At head, do not wait for another process.
        if target != "head" or state["status"] != "up to date":
            self._migrate(command.upgrade, target)

    def downgrade(self, target: str) -> None:
        """Undo the migrations down to the revision `target`; "base" undoes them all."""
        self._migrate(command.downgrade, target)

    def drop(self) -> None:
        """Drop all tables of the models, with what is in them."""
        self._run_on(self.engine, schema.drop, self.alembic_cfg, self.metadata)

    def sync(self) -> SyncResult:
        """Bring the schema up to date by the migrations that are pending.

        Raises SchemaError for a schema that has diverged from the migrations.
        """
        state = self._get_state()
        if state["status"] == "diverged":
            raise SchemaError(state["message"])
        if state["status"] in ("empty", "behind"):
            self._migrate(command.upgrade, "head")
            return SyncResult.CREATED if state["status"] == "empty" else SyncResult.UPGRADED
        is_ahead = state["status"] == "ahead"
        return SyncResult.AHEAD if is_ahead else SyncResult.ALREADY_UP_TO_DATE

    def get_status(self, *, reread: bool = True) -> DatabaseStatus:
        """Return the state of the schema relative to the migrations; see `explain`."""
        state = self.explain(reread=reread)
        return DatabaseStatus(state["status"])

    def explain(self, *, reread: bool = True) -> dict[str, Any]:
        """Return `schema.explain`; with `reread=False`, read the migrations only the first time."""
        if reread or not self._revisions:
            self._revisions = schema.read_revisions(self.alembic_cfg)
        with self.schema_engine.connect() as connection:
            return schema.explain(connection, self._revisions, self.metadata)

    def get_current_revision(self, session: Session | None = None) -> str | None:
        """Return the database's revision, or None; with a session, as its transaction sees it."""
        if session is None:
            with self.ReadSession() as own_session:
                return self.get_current_revision(own_session)
        connection = session.connection()
        heads = schema.current_heads(connection)
        return ", ".join(heads) or None

    def get_latest_revision(self) -> str | None:
        """Return the newest revision, all heads with commas between, or None without migrations."""
        heads = ScriptDirectory.from_config(self.alembic_cfg).get_heads()
        return ", ".join(sorted(heads)) or None

    def dispose(self) -> None:
        """Close the idle connections of the pools. The manager can still be used afterwards."""
        self.engine.dispose()
        self.read_engine.dispose()
        self.schema_engine.dispose()

    def _migrate(self, run: Callable[..., None], target: str) -> None:
        self._run_on(self.engine, schema.migrate, self.alembic_cfg, run, target)

    def _get_state(self) -> dict[str, Any]:
        known = schema.read_revisions(self.alembic_cfg)
        return self._run_on(self.schema_engine, schema.explain, known, self.metadata)

    def _run_on(self, engine: Engine, work: Callable[..., R], *args: Any) -> R:
        deadline = time.monotonic() + self.alembic_cfg.attributes.get("wait", 600)
        while not _alembic_lock.acquire(blocking=False):
            time.sleep(0.01)
        try:
            while True:
                try:
                    with engine.connect() as connection:
                        return work(connection, *args)
                except ConnectionFailed as error:
                    is_full = error.failure is Failure.TOO_MANY_CONNECTIONS
                    if not is_full or time.monotonic() > deadline:
                        raise
                    # An idle connection in another of these pools may be the one that is missing.
                    self.dispose()
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311
        finally:
            _alembic_lock.release()
