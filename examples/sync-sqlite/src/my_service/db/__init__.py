"""The database layer, which depends on SQLAlchemy and Alembic only."""

from .base import Base as Base
from .engine import SNAPSHOT as SNAPSHOT
from .errors import ConfigurationError as ConfigurationError
from .errors import ConnectionFailed as ConnectionFailed
from .errors import Failure as Failure
from .errors import ReadOnlyError as ReadOnlyError
from .errors import SchemaError as SchemaError
from .failures import failure_of as failure_of
from .manager import DatabaseManager as DatabaseManager
from .queries import get_by_pk as get_by_pk
from .queries import get_one as get_one
from .queries import get_or_create as get_or_create
from .queries import update_or_create as update_or_create
from .schema import DatabaseStatus as DatabaseStatus
from .schema import SyncResult as SyncResult
from .schema import exists_in_db as exists_in_db
from .schema import is_sqlite as is_sqlite
from .sqlite import columns_of as columns_of
from .types import UTCDateTime as UTCDateTime
from .upsert import upsert_many as upsert_many
