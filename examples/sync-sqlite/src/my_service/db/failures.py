"""Classify database errors across drivers."""

import re

from sqlalchemy import exc

from .errors import ConnectionFailed, Failure
from .sqlite import ERROR_CODES, MESSAGE_PATTERNS, code_of

FAILURE_BY_CODE = {code: failure for failure, codes in ERROR_CODES.items() for code in codes}


def failure_of(error: BaseException) -> Failure | None:
    """Return the kind of failure of an exception, or None for an exception of another kind."""
    if isinstance(error, ConnectionFailed):
        return error.failure
    if isinstance(error, exc.DBAPIError) and error.orig:
        is_lost = error.connection_invalidated
        return failure_of(error.orig) or (Failure.DISCONNECTED if is_lost else None)
    for cause in (error, error.__cause__):
        if (code := code_of(cause)) in FAILURE_BY_CODE:
            return FAILURE_BY_CODE[code]
    if isinstance(error, exc.TimeoutError | TimeoutError):
        return Failure.TIMEOUT
    return Failure.UNREACHABLE if isinstance(error, OSError) else None


def failure_of_connecting(error: BaseException) -> Failure:
    """Return the kind of failure of an exception from opening a connection."""
    matches = (kind for pattern, kind in MESSAGE_PATTERNS.items() if re.search(pattern, str(error)))
    return failure_of(error) or next(matches, Failure.UNREACHABLE)
