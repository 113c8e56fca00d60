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
    """No connection could be opened; `failure` is the reason, the message has the next step."""

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure = failure


class ReadOnlyError(exc.InvalidRequestError):
    """A write in a session that only reads."""

    def __init__(self) -> None:
        super().__init__("this session only reads; use `manager.Session` to write")


class SchemaError(exc.SQLAlchemyError):
    """The schema needs a decision before it may change; the message names its state."""


class ConfigurationError(ValueError):
    """A setting cannot be used; the message has what would be right."""


def check_writable(bind: Any) -> None:
    """Raise ReadOnlyError if a session with this engine or connection only reads."""
    if bind.get_execution_options().get("read_only"):
        raise ReadOnlyError
