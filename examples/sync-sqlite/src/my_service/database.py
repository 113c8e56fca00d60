"""Joins the settings to the database layer."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from sqlalchemy import QueuePool

from .config import DatabaseSettings
from .db import Base, DatabaseManager

__all__ = ["Base", "manager_from_config"]


def import_models() -> None:
    """Import every module called `models`, and those in packages of that name.

    That puts their tables into the metadata of `Base`, which knows what has been imported only.
    """
    root = Path(__file__).parent
    for path in sorted({*root.rglob("models.py"), *root.rglob("models/**/*.py")}):
        parts = path.relative_to(root).with_suffix("").parts
        import_module("." + ".".join(parts).removesuffix(".__init__"), __package__)


def manager_from_config(config: BaseModel | Mapping[str, Any]) -> DatabaseManager:
    """Return a manager built from settings, from their part `database`, or from a like mapping.

    What is in `sqlalchemy` beside the URL goes to the engines. `config` itself is not changed.
    Raises pydantic.ValidationError for bad values, ConfigurationError for a wrong URL.
    """
    values = config.model_dump() if isinstance(config, BaseModel) else config
    database = DatabaseSettings.model_validate(values.get("database", values))
    engine_args = database.sqlalchemy.model_dump(exclude={"url"})
    if not issubclass(engine_args.get("poolclass") or QueuePool, QueuePool):
        # Another pool refuses the sizes of ours. What was chosen is its own to refuse.
        sizes = {"pool_size", "max_overflow", "pool_timeout"}
        for name in sizes - database.sqlalchemy.model_dump(exclude_defaults=True).keys():
            del engine_args[name]
    manager = DatabaseManager(
        database.sqlalchemy.url,
        database.alembic.migrations_path,
        engine_args=engine_args,
        base_model=Base,
    )
    # The names and the format of new migrations.
    manager.alembic_cfg.toml_file_name = str(Path(__file__).parents[2] / "pyproject.toml")
    manager.alembic_cfg.attributes |= database.alembic.model_dump(exclude={"migrations_path"})
    return manager


import_models()
