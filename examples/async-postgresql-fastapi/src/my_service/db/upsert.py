"""Insert or update many rows in few statements."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import UniqueConstraint, inspect, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from .queries import Values, check_names

T = TypeVar("T")
FRESH = {"populate_existing": True}
INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


async def upsert_many(
    session: AsyncSession,
    model: type[T],
    rows: Iterable[Values],
    /,
    *,
    on: str | Sequence[str] | None = None,
    update: Sequence[str] | None = None,
    returning: bool = True,
    batch: int = 1000,
) -> list[tuple[T, bool | None]]:
    """Insert the rows, and update those that exist. PostgreSQL and SQLite only.

    `rows` are mappings of attribute names to values, all with the same names. `on` names the
    attributes whose unique constraint tells that a row exists; it may be left out where that is
    clear. `update` names the attributes to overwrite in a row that exists: by default all but
    `on`, and none if it is empty. If two rows have the same key, the last one wins.

    Returns the objects in the order of their keys, each with True if it was inserted, False if it
    was updated, None where the database does not tell (SQLite). With `returning=False`, which is
    faster, returns an empty list. Writes `batch` rows a statement, in the order of their keys, so
    that concurrent calls wait for each other instead of deadlocking.

    Raises TypeError for unknown attributes, ValueError for rows that differ in their names, lack a
    key or have an empty one, NotImplementedError for other databases.
    """
    listed = [dict(row) for row in rows]
    if not listed:
        return []
    names = listed[0].keys()
    check_names(model, listed[0])
    if any(row.keys() != names for row in listed):
        raise ValueError("all rows must name the same attributes")
    key = _key(model, on, names)
    unique = {tuple(row[name] for name in key): row for row in listed}
    if any(value is None for values in unique for value in values):
        raise ValueError(f"a row has no value for its key ({', '.join(key)})")
    ordered = [unique[values] for values in sorted(unique)]

    dialect = session.get_bind().dialect.name
    if dialect not in INSERTS:
        raise NotImplementedError(f"upsert_many serves {' and '.join(INSERTS)}, not {dialect}")
    overwritten = [name for name in names if name not in key] if update is None else update
    if returning and not overwritten:
        # A row that is left alone is not returned; writing its key once more changes nothing.
        overwritten = key
    columns = {attribute.key: attribute.columns[0] for attribute in inspect(model).column_attrs}
    statement = INSERTS[dialect](model)
    target = [columns[name] for name in key]
    if overwritten:
        changed = [columns[name].name for name in overwritten]
        statement = statement.on_conflict_do_update(
            index_elements=target,
            set_={name: statement.excluded[name] for name in changed},
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=target)

    if returning and dialect == "postgresql":
        statement = statement.returning(model, literal_column("xmax = 0"))
    elif returning:
        statement = statement.returning(model)
    if not session.autoflush:
        await session.flush()
    found: list[tuple[T, bool | None]] = []
    for start in range(0, len(ordered), batch):
        part = ordered[start : start + batch]
        result = await session.execute(statement, part, execution_options=FRESH)
        if returning:
            found.extend((row[0], row[1] if len(row) > 1 else None) for row in result)
    return sorted(found, key=lambda pair: tuple(getattr(pair[0], name) for name in key))


def _key(model: type[Any], on: str | Sequence[str] | None, names: Iterable[str]) -> list[str]:
    """Return the attributes that identify a row: `on`, or the only key that the rows can have."""
    if on is not None:
        key = [on] if isinstance(on, str) else list(on)
        if not set(key) <= set(names):
            raise ValueError(f"every row must have a value for its key ({', '.join(key)})")
        return key
    mapper = inspect(model, raiseerr=True)
    keys = [list(mapper.primary_key)]
    for constraint in mapper.local_table.constraints:
        if isinstance(constraint, UniqueConstraint):
            keys.append(list(constraint.columns))
    keys += [list(index.columns) for index in mapper.local_table.indexes if index.unique]
    named = [[mapper.get_property_by_column(column).key for column in columns] for columns in keys]
    fitting = [key for key in named if set(key) <= set(names)]
    if len(fitting) != 1:
        raise ValueError("say with on=... which attributes identify a row")
    return fitting[0]
