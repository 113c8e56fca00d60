"""Joins the settings to the database layer."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# Importing the models puts their tables into the metadata of Base.
from . import models as models
from .config import DatabaseSettings
from .db import AsyncDatabaseManager, Base

__all__ = ["Base", "manager_from_config"]


def manager_from_config(config: BaseModel | Mapping[str, Any]) -> AsyncDatabaseManager:
    """Return a manager built from settings, from their part `database`, or from a like mapping.

        manager_from_config({"sqlalchemy": {"url": "sqlite:///other.db", "echo": True}})

    What is in `sqlalchemy` beside the URL goes to the engine. `config` itself is not changed.
    Raises pydantic.ValidationError for bad values, ValueError for a URL that cannot be served.
    """
    values = config.model_dump() if isinstance(config, BaseModel) else config
    database = DatabaseSettings.model_validate(values.get("database", values))
    extras = database.sqlalchemy.model_extra or {}
    return AsyncDatabaseManager(
        database.sqlalchemy.url,
        database.alembic.migrations_path,
        # The defaults are for the default pool; another class may not know them.
        engine_args=database.sqlalchemy.model_dump(
            exclude={"url"},
            exclude_unset="poolclass" in extras,
        ),
        base_model=Base,
    )
