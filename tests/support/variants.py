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
