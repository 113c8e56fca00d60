"""Settings, read from environment variables and `.env`."""

import logging
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(ge=0)]
# A URL as text, or as one of pydantic's types, such as AnyUrl.
UrlText = Annotated[
    str, BeforeValidator(lambda url: str(url) if hasattr(url, "unicode_string") else url)
]


class SQLAlchemySettings(BaseModel):
    """The URL of the database and arguments of its engine; others may be added."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    url: UrlText = Field(
        default="postgresql://postgres@localhost:5432/my_service",
        min_length=1,
        repr=False,
    )
    # The database of read sessions, such as a replica; by default the same one.
    read_url: UrlText | None = Field(default=None, min_length=1, repr=False)
    echo: bool = False
    hide_parameters: bool = True  # in errors and logs
    pool_size: int = Field(default=15, ge=0)
    max_overflow: int = Field(default=0, ge=-1)  # connections that are closed after use
    pool_timeout: float = Field(default=5, gt=0)  # seconds to wait for a free connection
    pool_recycle: int = -1
    # The connection that was used last is used next, because it need not be tested.
    pool_use_lifo: bool = True
    connect_args: dict[str, Any] = {}
    application_name: str = "my-service"
    # 0 is no limit. Behind PgBouncer, only connect_timeout has an effect.
    connect_timeout: int = Field(default=10, ge=0)
    statement_timeout: Seconds = 30
    idle_in_transaction_session_timeout: Seconds = 60
    pre_ping_after: Seconds = 0.5  # idle time before a connection is tested again

    @property
    def connections(self) -> int:
        """The largest number of connections in a pool."""
        is_limited = self.pool_size > 0 and self.max_overflow >= 0
        return self.pool_size + self.max_overflow if is_limited else sys.maxsize

    @property
    def time_limit(self) -> float:
        """Seconds that a request may use a connection, even if the server does not answer."""
        return self.pool_timeout + (self.connect_timeout or math.inf)


class AlembicSettings(BaseModel):
    """The location of the migrations, and time limits for them."""

    model_config = ConfigDict(extra="forbid")

    migrations_path: Path = Path(__file__).with_name("migrations")
    wait: Seconds = 600  # for another process that migrates
    lock_timeout: float = Field(default=5, gt=0)  # seconds to wait for a table before a retry


class DatabaseSettings(BaseModel):
    """The settings of a database manager."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sqlalchemy: SQLAlchemySettings = SQLAlchemySettings()
    alembic: AlembicSettings = AlembicSettings()


class Settings(BaseSettings):
    """All settings. Nested ones are written like `DATABASE__SQLALCHEMY__POOL_SIZE`.

    `DATABASE_URL` and `DATABASE_READ_URL` are short for `DATABASE__SQLALCHEMY__URL` and
    `DATABASE__SQLALCHEMY__READ_URL`, which take precedence.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    database: DatabaseSettings = DatabaseSettings()
    database_url: str | None = Field(default=None, min_length=1, repr=False, exclude=True)
    database_read_url: str | None = Field(default=None, min_length=1, repr=False, exclude=True)
    log_level: str = "INFO"
    # Guards the database against being dropped by a slip.
    production: bool = False
    log_format: Literal["text", "json"] = "text"
    slow_statement: Seconds = 0  # duration from which a statement is logged; 0 logs none
    max_body_size: int = Field(default=1_000_000, ge=0)  # bytes
    shutdown_delay: Seconds = 1  # in which `/readyz` answers 503, before the server stops
    shutdown_timeout: int = Field(default=20, ge=0)  # seconds for requests in flight after that
    docs: bool = True  # serve the documentation of the API
    # Origins whose pages may use the API, such as ["https://example.org"].
    cors_origins: list[str] = []

    @field_validator("log_level")
    @classmethod
    def _check_log_level(cls, level: str) -> str:
        levels = logging.getLevelNamesMapping()
        if level.upper() not in levels:
            raise ValueError(f"use one of {', '.join(levels)}")
        return level.upper()

    @model_validator(mode="after")
    def _use_short_urls(self) -> Self:
        sqlalchemy = self.database.sqlalchemy
        urls = {"url": self.database_url, "read_url": self.database_read_url}
        update = {k: v for k, v in urls.items() if v and k not in sqlalchemy.model_fields_set}
        sqlalchemy = sqlalchemy.model_copy(update=update)
        self.database = self.database.model_copy(update={"sqlalchemy": sqlalchemy})
        return self


def get_settings() -> Settings:
    """Read the settings. Raises pydantic.ValidationError for invalid values."""
    return Settings()


def set_up_logging(level: str) -> None:
    """Log to stderr from `level` on, unless the root logger has a handler already."""
    handler = logging.StreamHandler()
    handler.name = __name__
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", handlers=[handler])
    # The database layer logs each migration itself.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Because `echo` adds a handler to a logger without one, which would log each statement twice.
    logging.getLogger("sqlalchemy.engine.Engine").addHandler(logging.NullHandler())
