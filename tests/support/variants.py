"""The eight variants, by name."""

from itertools import product
from typing import Any

VARIANTS: dict[str, dict[str, Any]] = {
    f"{io}-{database}{'-fastapi' if fastapi else ''}": {
        "io": io,
        "database": database,
        "fastapi": fastapi,
    }
    for io, database, fastapi in product(("async", "sync"), ("sqlite", "postgresql"), (True, False))
}

# In which every two answers meet. The others are for the full profile.
HALF = ["async-sqlite-fastapi", "async-postgresql", "sync-sqlite", "sync-postgresql-fastapi"]
