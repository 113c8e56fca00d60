"""Insert or update many rows in few statements."""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Column, inspect
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session, selectinload

from . import sqlite as backend
from .errors import check_writable
from .queries import T, Values, eager_relationships


def upsert_many(
    session: Session,
    model: type[T],
    rows: Iterable[Values],
    /,
    *,
    on: str | Sequence[str],
    update: str | Sequence[str] | None = None,
    returning: bool = True,
    batch: int = 1000,
) -> list[tuple[T, bool | None]]:
    """Insert the rows, and update those that exist.

    `rows` are mappings of attribute names to values, all with the same names; None is NULL, and for
    a primary key a generated value. `on` names the attributes whose unique constraint identifies a
    row, `update` those to overwrite in a row that exists: by default all but `on`, and none if it is
    empty. Columns with `onupdate` are then overwritten as well; a function is called once, with
    None for its context.

    Returns the objects in the order of their keys, each with True if it was inserted, False if it
    was updated, and None on SQLite. With `returning=False`, which is faster, the list is empty.

    Writes `batch` rows per statement, a collection in the order of its keys, so that concurrent
    calls wait for each other instead of deadlocking. A generator is sorted batch by batch, in
    constant memory if `returning` is False; calls that share keys may deadlock. Of rows with equal
    keys, the last one is written.

    Raises TypeError for names that are not columns; ValueError for rows with different names or
    without those in `on` and `update`, and, if rows are returned, for keys that only the database
    considers equal; NotImplementedError for an update of a model with `version_id_col`.
    """
    check_writable(session.get_bind())
    remaining = iter(rows)
    size = len(rows) if isinstance(rows, Collection) else batch
    chunk = [dict(row) for row in islice(remaining, size)]
    if not chunk:
        return []
    names, key = dict(chunk[0]).keys(), _listed(on)
    mapper = inspect(model, raiseerr=True)
    columns: Any = {name: c for name, c in mapper.columns.items() if isinstance(c, Column)}
    for name in {*names, *key, *_listed(update or [])} - columns.keys():
        raise TypeError(f"{model.__name__} has no column '{name}'; it has: {', '.join(columns)}")
    required = {*key, *(name for name in names if columns[name].primary_key)}
    generated = {name for name in required - {*key} if chunk[0][name] is None}
    required -= generated
    if update is None:
        update = [name for name in names if name not in {*key, *generated}]
    overwritten = _listed(update)
    if not key or not names >= {*key, *overwritten}:
        raise ValueError(f"every row must have a value for {', '.join([*key, *overwritten])}")
    dialect = session.get_bind().dialect.name
    if dialect != backend.DIALECT:
        raise NotImplementedError(f"upsert_many supports {backend.DIALECT}, not {dialect}")
    if overwritten and mapper.version_id_col is not None:
        raise NotImplementedError(f"upsert_many does not increment {mapper.version_id_col}")

    adds = mapper.inherits is not None or mapper.polymorphic_on is not None
    adds |= any(columns[name].key != name for name in names)
    # Without objects, the table is faster than a mapping that adds nothing to it.
    statement: Any = insert(model if returning or adds else mapper.local_table)
    target = [columns[name] for name in key]
    changes = {columns[name]: statement.excluded[columns[name].key] for name in overwritten}
    if changes:
        values = {c: c.onupdate.arg for c in columns.values() if c.onupdate is not None}
        changes = {c: v(None) if callable(v) else v for c, v in values.items()} | changes
    elif returning:
        # DO NOTHING returns no row, so update the key to itself.
        changes = {column: column for column in target}
    if changes:
        statement = statement.on_conflict_do_update(index_elements=target, set_=changes)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=target)
    if returning:
        # RETURNING cannot join, so related rows are selected.
        eager = map(selectinload, eager_relationships(mapper))
        statement = statement.returning(model, backend.IS_INSERTED).options(*eager)
    # With `render_nulls`, rows with and without None share a statement.
    statement = statement.execution_options(populate_existing=True, render_nulls=True)
    session.flush()

    results: dict[int, tuple[T, bool | None]] = {}
    while chunk:
        if any(row.keys() != names or None in map(row.get, required) for row in chunk):
            wanted = ", ".join(sorted(required))
            raise ValueError(f"rows must have the same attributes and no None in {wanted}")
        for name in generated:
            if any(row.pop(name) is not None for row in chunk):
                raise ValueError(f"either all rows or none must have a value for {name}")
        unique = {tuple(_sortable(row[name]) for name in key): row for row in chunk}
        ordered = [unique[values] for values in sorted(unique)]
        for start in range(0, len(ordered), batch):
            part = ordered[start : start + batch]
            result = session.execute(statement, part)
            pairs = [(row[0], row[1]) for row in result] if returning else []
            if len({id(instance) for instance, _ in pairs}) < len(pairs):
                raise ValueError("different keys are equal in the database; write them alike")
            for instance, is_new in pairs:
                results.setdefault(id(instance), (instance, is_new))
        chunk = [dict(row) for row in islice(remaining, size)]
    return sorted(
        results.values(), key=lambda pair: tuple(_sortable(getattr(pair[0], name)) for name in key)
    )


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _sortable(value: Any) -> Any:
    # Lists have no hash, enums no order, but a repr that is the same in every process.
    kind: Any = type(value)
    sorts = kind.__lt__ is not object.__lt__  # type: ignore[operator]
    return value if kind.__hash__ and sorts else repr(value)
