"""Which failure is which, on every driver."""

import enum
import re

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

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class SchemaError(exc.SQLAlchemyError):
    """The schema is in a state that must not be touched without a decision; the message says which."""


class ConfigurationError(ValueError):
    """A setting cannot be used; the message has what would be right."""


# PostgreSQL's SQLSTATEs and SQLite's result codes.
CODES = {
    Failure.UNREACHABLE: ("53300", "57P03", "SQLITE_CANTOPEN"),
    Failure.WRONG_CREDENTIALS: ("28000", "28P01"),
    Failure.UNKNOWN_DATABASE: ("3D000", "SQLITE_NOTADB"),
    Failure.DISCONNECTED: ("25P03", "57P01", "57P02"),
    Failure.TIMEOUT: ("55P03", "57014", "SQLITE_BUSY", "SQLITE_LOCKED"),
    Failure.SERIALIZATION: ("40001", "40P01", "SQLITE_BUSY_SNAPSHOT"),
    Failure.UNIQUE_VIOLATION: ("23505", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE"),
}
FAILURES = {code: failure for failure, codes in CODES.items() for code in codes}
# What libpq says when a connection fails; it gives no code then.
WORDS = {
    r"authentication failed|no password|no pg_hba.conf entry": Failure.WRONG_CREDENTIALS,
    r'role ".*" (does not exist|is not permitted)': Failure.WRONG_CREDENTIALS,
    r'database ".*" does not exist': Failure.UNKNOWN_DATABASE,
    r"timeout expired": Failure.TIMEOUT,
}


def failure_of(error: BaseException) -> Failure | None:
    """Return which failure an exception stands for, or None for any other kind of error."""
    if isinstance(error, ConnectionFailed):
        return error.failure
    if isinstance(error, exc.DBAPIError) and error.orig:
        found = failure_of(error.orig)
        return found or (Failure.DISCONNECTED if error.connection_invalidated else None)
    for cause in (error, error.__cause__):
        for attribute in ("sqlstate", "pgcode", "sqlite_errorname"):
            code = getattr(cause, attribute, None)
            if code in FAILURES:
                return FAILURES[code]
    if isinstance(error, exc.TimeoutError | TimeoutError):
        return Failure.TIMEOUT
    return Failure.UNREACHABLE if isinstance(error, OSError) else None


def failure_of_connecting(error: BaseException) -> Failure:
    """Return which failure an exception stands for that was raised by opening a connection."""
    in_words = (failure for sign, failure in WORDS.items() if re.search(sign, str(error)))
    return failure_of(error) or next(in_words, Failure.UNREACHABLE)
