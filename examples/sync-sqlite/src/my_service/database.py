"""Build the database manager from the settings."""

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
    """Import modules and packages called `models`, which adds their tables to the metadata."""
    root = Path(__file__).parent
    for path in sorted({*root.rglob("models.py"), *root.rglob("models/**/*.py")}):
        parts = path.relative_to(root).with_suffix("").parts
        import_module("." + ".".join(parts).removesuffix(".__init__"), __package__)


def manager_from_config(config: BaseModel | Mapping[str, Any]) -> DatabaseManager:
    """Return a manager for the settings, for their part `database`, or for a mapping like them.

    `sqlalchemy` has the URL and the arguments of the engines. `config` is not changed.
    Raises pydantic.ValidationError for invalid values, ConfigurationError for a wrong URL.
    """
    values = config.model_dump() if isinstance(config, BaseModel) else config
    database = DatabaseSettings.model_validate(values.get("database", values))
    engine_args = database.sqlalchemy.model_dump(exclude={"url"})
    if not issubclass(engine_args.get("poolclass") or QueuePool, QueuePool):
        # Because other pools refuse these arguments, leave the defaults out.
        names = {"pool_size", "max_overflow", "pool_timeout"}
        for name in names - database.sqlalchemy.model_dump(exclude_defaults=True).keys():
            del engine_args[name]
    manager = DatabaseManager(
        database.sqlalchemy.url,
        database.alembic.migrations_path,
        engine_args=engine_args,
        base_model=Base,
    )
    # It has the file names and the formatter of new migrations.
    manager.alembic_cfg.toml_file_name = str(Path(__file__).parents[2] / "pyproject.toml")
    manager.alembic_cfg.attributes |= database.alembic.model_dump(exclude={"migrations_path"})
    return manager


import_models()
