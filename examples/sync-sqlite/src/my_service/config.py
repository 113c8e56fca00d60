"""Settings, read from environment variables and `.env`."""

import logging
from pathlib import Path
from typing import Annotated, Any, Self

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
        default="sqlite:///my-service.db",
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
    connect_args: dict[str, Any] = {}
    busy_timeout: Seconds = 30  # to wait for a writer in another process
    wal: bool = True  # off for a file on a network share


class AlembicSettings(BaseModel):
    """The location of the migrations."""

    model_config = ConfigDict(extra="forbid")

    migrations_path: Path = Path(__file__).with_name("migrations")


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
