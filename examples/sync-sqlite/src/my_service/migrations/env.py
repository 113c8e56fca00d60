"""Alembic's environment: the database to migrate, and the models to compare it with.

Arguments of `context.configure`, such as `include_object`, may be added to the call.
"""

from alembic import context

from my_service.config import get_settings
from my_service.database import Base, manager_from_config
from my_service.db.environment import run_migrations

run_migrations(
    context.config,
    Base.metadata,
    lambda: manager_from_config(get_settings()),
)
