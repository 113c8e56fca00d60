"""What can be set: from the environment, or from a file .env in the working folder."""

import logging
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def url_as_text(url: Any) -> Any:
    """Return one of pydantic's URLs as text, such as AnyUrl or PostgresDsn; all else as it is."""
    return str(url) if hasattr(url, "unicode_string") else url


UrlText = Annotated[str, BeforeValidator(url_as_text)]


class SQLAlchemySettings(BaseModel):
    """The URL of the database and arguments for its engine; any other of them may be added."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    # Not in repr(): it may hold a password.
    url: UrlText = Field(
        default="postgresql://postgres@localhost:5432/my_service",
        min_length=1,
        repr=False,
    )
    # Where read sessions go, such as a replica; by default to the same database.
    read_url: UrlText | None = Field(default=None, min_length=1, repr=False)
    echo: bool = False
    # In errors and logs.
    hide_parameters: bool = True
    pool_size: int = Field(default=5, ge=0)
    max_overflow: int = Field(default=10, ge=-1)
    # How many seconds to wait for a free connection.
    pool_timeout: float = Field(default=5, gt=0)
    pool_recycle: int = -1
    connect_args: dict[str, Any] = {}
    application_name: str = "my-service"
    # In seconds; 0 is no limit. Behind PgBouncer, the server's own limits apply.
    connect_timeout: int = Field(default=10, ge=0)
    statement_timeout: float = Field(default=30, ge=0)
    idle_in_transaction_session_timeout: float = Field(default=60, ge=0)
    # How many seconds a connection may be idle before it is tested again.
    pre_ping_after: float = Field(default=0.5, ge=0)

    @property
    def connections(self) -> float:
        """The largest number of connections in a pool."""
        is_limited = self.pool_size > 0 and self.max_overflow >= 0
        return self.pool_size + self.max_overflow if is_limited else math.inf

    @property
    def time_limit(self) -> float:
        """How many seconds a request may use a connection, also while the server is frozen."""
        return self.pool_timeout + (self.connect_timeout or math.inf)


class AlembicSettings(BaseModel):
    """Where the migrations are."""

    model_config = ConfigDict(extra="forbid")

    migrations_path: Path = Path(__file__).with_name("migrations")
    # How many seconds to wait for another process that migrates, and how many for a table in use,
    # with everybody queued behind, before giving way and trying again.
    wait: float = Field(default=600, ge=0)
    lock_timeout: float = Field(default=5, gt=0)


class DatabaseSettings(BaseModel):
    """All that a database manager is built from."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sqlalchemy: SQLAlchemySettings = SQLAlchemySettings()
    alembic: AlembicSettings = AlembicSettings()


class Settings(BaseSettings):
    """All settings. Nested ones are written like `DATABASE__SQLALCHEMY__POOL_SIZE`.

    `DATABASE_URL` and `DATABASE_READ_URL` are the short ways to `DATABASE__SQLALCHEMY__URL` and
    `DATABASE__SQLALCHEMY__READ_URL`, and give way to them.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_nested_delimiter="__",
        extra="ignore",
        hide_input_in_errors=True,
    )

    database: DatabaseSettings = DatabaseSettings()
    database_url: str | None = Field(default=None, min_length=1, repr=False, exclude=True)
    database_read_url: str | None = Field(default=None, min_length=1, repr=False, exclude=True)
    log_level: str = "INFO"
    # Guards the database against being dropped by a slip.
    production: bool = False
    log_format: Literal["text", "json"] = "text"
    # Log statements that take at least so many seconds; 0 logs none.
    slow_statement: float = Field(default=0, ge=0)
    # In bytes.
    max_body_size: int = Field(default=1_000_000, ge=0)
    # How many seconds `/readyz` answers 503 before the server stops, and how many more seconds the
    # requests in flight have then.
    shutdown_delay: float = Field(default=1, ge=0)
    shutdown_timeout: int = Field(default=20, ge=0)
    # Whether to serve the pages about the API.
    docs: bool = True
    # Whose pages may use the API, such as ["https://example.org"].
    cors_origins: list[str] = []

    @field_validator("log_level")
    @classmethod
    def _check_log_level(cls, level: str) -> str:
        levels = logging.getLevelNamesMapping()
        if level.upper() not in levels:
            raise ValueError(f"use one of {', '.join(levels)}")
        return level.upper()

    @model_validator(mode="after")
    def _use_short_ways(self) -> Self:
        sqlalchemy = self.database.sqlalchemy
        short = {"url": self.database_url, "read_url": self.database_read_url}
        update = {k: v for k, v in short.items() if v and k not in sqlalchemy.model_fields_set}
        if update:
            sqlalchemy = sqlalchemy.model_copy(update=update)
            self.database = self.database.model_copy(update={"sqlalchemy": sqlalchemy})
        return self


def get_settings() -> Settings:
    """Return the settings as they are now. Raises pydantic.ValidationError for bad values."""
    return Settings()


def set_up_logging(level: str) -> None:
    """Log to stderr from `level` on, unless the root logger has a handler already."""
    handler = logging.StreamHandler()
    handler.name = __name__
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", handlers=[handler])
    # The database layer logs each migration itself.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Otherwise `echo` adds a handler of its own, and each statement is logged twice.
    logging.getLogger("sqlalchemy.engine.Engine").addHandler(logging.NullHandler())
