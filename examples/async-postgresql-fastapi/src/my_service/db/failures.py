"""Classify database errors across drivers."""

import re

from sqlalchemy import exc

from .errors import ConnectionFailed, Failure
from .postgresql import CODES, WORDS, code_of
from .postgresql import columns_of as columns_of

FAILURES = {code: failure for failure, codes in CODES.items() for code in codes}


def failure_of(error: BaseException) -> Failure | None:
    """Return the failure that an exception stands for, or None for any other kind of error."""
    if isinstance(error, ConnectionFailed):
        return error.failure
    if isinstance(error, exc.DBAPIError) and error.orig:
        found = failure_of(error.orig)
        return found or (Failure.DISCONNECTED if error.connection_invalidated else None)
    for cause in (error, error.__cause__):
        code = code_of(cause)
        if code in FAILURES:
            return FAILURES[code]
    if isinstance(error, exc.TimeoutError | TimeoutError):
        return Failure.TIMEOUT
    return Failure.UNREACHABLE if isinstance(error, OSError) else None


def failure_of_connecting(error: BaseException) -> Failure:
    """Return the failure behind an exception that was raised by opening a connection."""
    in_words = [failure for sign, failure in WORDS.items() if re.search(sign, str(error))]
    return failure_of(error) or [*in_words, Failure.UNREACHABLE][0]
