"""The database layer. It knows SQLAlchemy and Alembic, and nothing of settings or the web."""

from .base import Base
from .engine import SNAPSHOT
from .errors import ConfigurationError, ConnectionFailed, Failure, ReadOnlyError, SchemaError
from .failures import failure_of
from .manager import DatabaseManager
from .queries import get_by_pk, get_one, get_or_create, update_or_create
from .schema import DatabaseStatus, SyncResult, exists_in_db, is_sqlite
from .types import UTCDateTime
from .upsert import upsert_many

__all__ = [
    "SNAPSHOT",
    "Base",
    "ConfigurationError",
    "ConnectionFailed",
    "DatabaseManager",
    "DatabaseStatus",
    "Failure",
    "ReadOnlyError",
    "SchemaError",
    "SyncResult",
    "UTCDateTime",
    "exists_in_db",
    "failure_of",
    "get_by_pk",
    "get_one",
    "get_or_create",
    "is_sqlite",
    "update_or_create",
    "upsert_many",
]
