"""Which failure is which, on every driver."""

import enum

from sqlalchemy import exc


class Failure(enum.Enum):
    """What went wrong, whatever the driver calls it."""

    UNREACHABLE = "unreachable"
    WRONG_CREDENTIALS = "wrong credentials"
    UNKNOWN_DATABASE = "unknown database"
    DISCONNECTED = "disconnected"
    TIMEOUT = "timeout"
    SERIALIZATION = "serialization failure"
    UNIQUE_VIOLATION = "unique violation"


class ConnectionFailed(exc.SQLAlchemyError):
    """No connection could be opened; `failure` says why, the message how to mend it."""

    def __init__(self, message: str, failure: Failure | None) -> None:
        super().__init__(message)
        self.failure = failure


class SchemaError(exc.SQLAlchemyError):
    """The schema is in a state that must not be touched without a decision; the message says which."""


SQLSTATES = {
    "28000": Failure.WRONG_CREDENTIALS,
    "28P01": Failure.WRONG_CREDENTIALS,
    "3D000": Failure.UNKNOWN_DATABASE,
    "23505": Failure.UNIQUE_VIOLATION,
    "40001": Failure.SERIALIZATION,
    "40P01": Failure.SERIALIZATION,
    "55P03": Failure.TIMEOUT,
    "57014": Failure.TIMEOUT,
    "25P03": Failure.DISCONNECTED,
    "57P01": Failure.DISCONNECTED,
    "57P02": Failure.DISCONNECTED,
    "57P03": Failure.UNREACHABLE,
    "53300": Failure.UNREACHABLE,
}
# SQLite's names of its extended result codes.
SQLITE_ERRORS = {
    "SQLITE_CANTOPEN": Failure.UNREACHABLE,
    "SQLITE_NOTADB": Failure.UNKNOWN_DATABASE,
    "SQLITE_BUSY": Failure.TIMEOUT,
    "SQLITE_LOCKED": Failure.TIMEOUT,
    "SQLITE_BUSY_SNAPSHOT": Failure.SERIALIZATION,
    "SQLITE_CONSTRAINT_PRIMARYKEY": Failure.UNIQUE_VIOLATION,
    "SQLITE_CONSTRAINT_UNIQUE": Failure.UNIQUE_VIOLATION,
}
# psycopg has no SQLSTATE for a refused login: libpq tells it in words only.
WORDS = {
    "authentication failed": Failure.WRONG_CREDENTIALS,
    "no password supplied": Failure.WRONG_CREDENTIALS,
    "no pg_hba.conf entry": Failure.WRONG_CREDENTIALS,
    'database "': Failure.UNKNOWN_DATABASE,
    "timeout expired": Failure.TIMEOUT,
}


def failure_of(error: BaseException) -> Failure | None:
    """Return which failure an exception stands for, or None for any other kind of error."""
    if isinstance(error, ConnectionFailed):
        return error.failure
    if isinstance(error, exc.TimeoutError | TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, exc.DBAPIError):
        found = failure_of(error.orig) if error.orig else None
        return found or (Failure.DISCONNECTED if error.connection_invalidated else None)
    for cause in (error, error.__cause__):
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        name = getattr(cause, "sqlite_errorname", None)
        found = SQLSTATES.get(state or "") or SQLITE_ERRORS.get(name or "")
        if found:
            return found
    return Failure.UNREACHABLE if isinstance(error, OSError) else None


def failure_of_connecting(error: BaseException) -> Failure:
    """Return which failure an exception stands for that was raised by opening a connection."""
    found = failure_of(error)
    if found and found is not Failure.UNREACHABLE:
        return found
    words = str(error)
    return next((kind for part, kind in WORDS.items() if part in words), Failure.UNREACHABLE)
