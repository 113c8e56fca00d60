"""Set up logging, the same for the application and the command line."""

import logging


def set_up_logging(level: str) -> None:
    """Log to stderr from `level` on, unless the root logger has a handler already."""
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s")
    # The database layer logs each migration itself.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Otherwise `echo` adds a handler of its own, and each statement is logged twice.
    logging.getLogger("sqlalchemy.engine.Engine").addHandler(logging.NullHandler())
