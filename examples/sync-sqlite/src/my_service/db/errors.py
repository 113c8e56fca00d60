"""Kinds of failure, and the exceptions of the layer."""

import enum
from typing import Any

from sqlalchemy import exc


class Failure(enum.Enum):
    """A kind of failure, the same for every driver."""

    UNREACHABLE = "unreachable"
    TOO_MANY_CONNECTIONS = "too many connections"
    WRONG_CREDENTIALS = "wrong credentials"
    UNKNOWN_DATABASE = "unknown database"
    DISCONNECTED = "disconnected"
    PROXIED = "behind a proxy"
    READ_ONLY = "read only"
    TIMEOUT = "timeout"
    SERIALIZATION = "serialization failure"
    UNIQUE_VIOLATION = "unique violation"
    FOREIGN_KEY_VIOLATION = "foreign key violation"
    CHECK_VIOLATION = "check violation"
    NOT_NULL_VIOLATION = "not-null violation"


class ConnectionFailed(exc.SQLAlchemyError):
    """A connection could not be opened; `failure` has the reason, the message a hint."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class ReadOnlyError(exc.InvalidRequestError):
    """A write in a read session."""


class SchemaError(exc.SQLAlchemyError):
    """The schema cannot be changed in its present state, which the message explains."""


class ConfigurationError(ValueError):
    """An invalid setting; the message has a valid one."""


def check_writable(bind: Any) -> None:
    """Raise ReadOnlyError if the engine or connection is for reading only."""
    if bind.get_execution_options().get("read_only"):
        raise ReadOnlyError("this session only reads; use `manager.Session` to write")
