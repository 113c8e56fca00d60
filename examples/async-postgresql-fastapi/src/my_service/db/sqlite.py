"""What SQLite needs: foreign keys and real transactions."""

from typing import Any

from sqlalchemy import Connection, Engine, event


def configure(connection: Any, *, busy_timeout: float, wal: bool) -> None:
    """Set up a connection that has just been opened; `busy_timeout` is in seconds."""
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={busy_timeout * 1000:.0f}")
        cursor.execute("PRAGMA foreign_keys=ON")
        if wal:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()
    except Exception:
        connection.close()
        raise


def install(engine: Engine, busy_timeout: float) -> None:
    """Begin the transactions of an engine explicitly."""
    event.listen(engine, "begin", _begin)


def _begin(connection: Connection) -> None:
    """Begin with the write lock, so that reading before writing, DDL and savepoints are safe."""
    # The driver's own level is None under AUTOCOMMIT.
    if getattr(connection.connection.dbapi_connection, "isolation_level", "") is not None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")
