"""Insert or update many rows in few statements."""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Column, Table, inspect, literal_column, select
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
    others = [name for name in names if name not in {*key, *generated}]
    overwritten = others if update is None else _listed(update)
    if not key or not names >= {*key, *overwritten}:
        raise ValueError(f"every row must have a value for {', '.join([*key, *overwritten])}")
    if (dialect := session.get_bind().dialect.name) != backend.DIALECT:
        raise NotImplementedError(f"upsert_many supports {backend.DIALECT}, not {dialect}")
    if overwritten and mapper.version_id_col is not None:
        raise NotImplementedError(f"upsert_many does not increment {mapper.version_id_col}")

    # The table takes less time than the model, where the mapping adds nothing to it.
    table = mapper.local_table
    added = (mapper.inherits, mapper.polymorphic_on, mapper.version_id_col)
    is_direct = isinstance(table, Table) and all(part is None for part in added)
    is_direct &= all(columns[name].key == name for name in names)
    statement: Any = insert(table if is_direct else model)
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
        is_new: Any = literal_column(backend.IS_INSERTED).label("is_new")
        shown = [p.expression for p in mapper.column_attrs] if is_direct else [model]
        statement = statement.returning(*shown, is_new)
        if is_direct:
            statement = select(model, is_new).from_statement(statement)
        # RETURNING cannot join, so related rows are selected.
        statement = statement.options(*map(selectinload, eager_relationships(mapper)))
    # With `render_nulls`, rows with and without None share a statement.
    statement = statement.execution_options(populate_existing=True, render_nulls=True)
    session.flush()

    results: dict[Any, tuple[T, bool | None]] = {}
    while chunk:
        if any(row.keys() != names or None in map(row.get, required) for row in chunk):
            wanted = ", ".join(sorted(required))
            raise ValueError(f"rows must have the same attributes and no None in {wanted}")
        for name in generated:
            if any(row.pop(name) is not None for row in chunk):
                raise ValueError(f"either all rows or none must have a value for {name}")
        unique = dict(zip(_keys([row[name] for row in chunk] for name in key), chunk, strict=True))
        ordered = [unique[identity] for identity in sorted(unique)]
        for start in range(0, len(ordered), batch):
            part = ordered[start : start + batch]
            result = session.execute(statement, part)
            pairs = [(row[0], row[1]) for row in result] if returning else []
            keys = _keys([getattr(instance, name) for instance, _ in pairs] for name in key)
            if len({*keys}) < len(keys):
                raise ValueError("different keys are equal in the database; write them alike")
            for identity, pair in zip(keys, pairs, strict=True):
                results.setdefault(identity, pair)
        chunk = [dict(row) for row in islice(remaining, size)]
    return [results[identity] for identity in sorted(results)]


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _keys(columns: Iterable[list[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*map(_sortable, columns), strict=True))


def _sortable(values: list[Any]) -> list[Any]:
    # Lists have no hash, enums no order, but a repr that is the same in every process.
    kinds: Any = {*map(type, values)}
    lacks_order = object.__lt__  # type: ignore[operator]
    sorts = {kind for kind in kinds if kind.__hash__ and kind.__lt__ is not lacks_order}
    return [v if type(v) in sorts else repr(v) for v in values] if kinds - sorts else values
