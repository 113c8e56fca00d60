"""Look rows up by attribute, create them and update them, without losing a race.

The functions take any mapped class; `Base` has them as methods.

* Rows are looked up by the keyword arguments; a name that the model lacks raises TypeError before
  any SQL. A column called `defaults` or `create_defaults` is looked up as `defaults__exact=…`.
* Pending changes are flushed first, and returned objects have the values of their rows.
* None finds NULL, and in a JSON column the JSON null as well. More than one match raises
  sqlalchemy.exc.MultipleResultsFound.
* Concurrent callers are safe only where a unique constraint covers the looked-up columns.
"""

from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

from sqlalchemy import JSON, ClauseElement, ColumnElement, Select, Text, bindparam, inspect, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Mapper, Session, registry
from sqlalchemy.schema import CheckConstraint, Column, Table

from . import sqlite as backend
from .errors import check_writable

T = TypeVar("T")
Values = Mapping[str, Any]
Names = tuple[tuple[str, bool], ...]  # each with whether its value is None
EAGER = {False, "joined", "selectin", "subquery", "immediate"}
MODEL_EVENTS = attrgetter("before_insert", "after_insert")
SESSION_EVENTS = attrgetter(
    *("before_flush", "after_flush", "after_flush_postexec", "before_attach", "after_attach"),
    *("transient_to_pending", "pending_to_persistent"),
)


def get_by_pk(session: Session, model: type[T], pk: Any, /) -> T | None:
    """Return the row with this primary key, or None. A composite key is a tuple."""
    names = _primary_key(inspect(model, raiseerr=True))
    values = pk if isinstance(pk, tuple) else (pk,)
    if len(values) != len(names):
        raise TypeError(f"the primary key of {model.__name__} is ({', '.join(names)})")
    return _find(session, model, dict(zip(names, values, strict=True)))


def get_one(session: Session, model: type[T], /, **attrs: Any) -> T:
    """Return the one row that matches. Raises sqlalchemy.exc.NoResultFound if there is none.

    The row is not locked; use `update_or_create` for a change that depends on its values.
    """
    attrs = _strip_exact_suffix(model, attrs)
    instance = _find(session, model, attrs)
    if instance is None:
        raise NoResultFound("No row was found when one was required")
    return instance


def get_or_create(
    session: Session, model: type[T], /, defaults: Values | None = None, **attrs: Any
) -> tuple[T, bool]:
    """Return the row that matches, created if there is none, and whether it was created.

    `defaults` has further values for a new row; callables are called. If another caller creates
    the row first, it is returned. Raises IntegrityError if the new row breaks another constraint.
    The transaction can be continued in both cases.
    """
    attrs = _strip_exact_suffix(model, attrs, defaults)
    return _find_or_insert(session, model, attrs, defaults, None)


def update_or_create(
    session: Session,
    model: type[T],
    /,
    defaults: Values | None = None,
    create_defaults: Values | None = None,
    **attrs: Any,
) -> tuple[T, bool]:
    """Update the row that matches with `defaults`, or create it; return it and whether it is new.

    A new row gets `create_defaults` instead, unless it is None. Callables are called, and SQL
    expressions such as `User.visits + 1` are evaluated by the database.
    The row is locked until the end of the transaction, so that no update is lost.
    Raises IntegrityError if the row would break another constraint.
    """
    attrs = _strip_exact_suffix(model, attrs, defaults, create_defaults)
    new = defaults if create_defaults is None else create_defaults
    return _find_or_insert(session, model, attrs, new, defaults or {})


def _find(session: Session, model: type[T], attrs: Values, lock: bool = False) -> T | None:
    # Because the statement overwrites pending changes, flush them even without autoflush.
    if not session.autoflush:
        session.flush()
    mapper = inspect(model, raiseerr=True)
    names = tuple((name, value is None) for name, value in attrs.items())
    if all(name in mapper.column_attrs and not _is_sql(value) for name, value in attrs.items()):
        statement = _cached_select(mapper, names, lock)
    else:
        statement = _select(mapper, attrs, lock)
    return session.scalars(statement, attrs).unique().one_or_none()


def _find_or_insert(
    session: Session, model: type[T], attrs: Values, new: Values | None, update: Values | None
) -> tuple[T, bool]:
    check_writable(session.get_bind(model))
    existing = _find(session, model, attrs, lock=update is not None)
    if existing is None:
        if (inserted := _insert(session, model, {**attrs, **(new or {})})) is not None:
            return inserted, True
        try:
            with session.begin_nested():
                instance = _construct(model, {**attrs, **_resolve_callables(new)})
                session.add(instance)
                _flush(session, instance)
            return instance, True
        except IntegrityError:
            existing = _find(session, model, attrs, lock=update is not None)
            if existing is None:
                raise
    if update:
        for name, value in _resolve_callables(update).items():
            setattr(existing, name, value)
        _flush(session, existing)
    return existing, False


def _insert(session: Session, model: type[T], values: dict[str, Any]) -> T | None:
    """Insert a row without a flush; return None if its key exists, or if it needs a savepoint."""
    mapper = inspect(model, raiseerr=True)
    statement, columns = _cached_insert(mapper, tuple((n, v is None) for n, v in values.items()))
    instances = mapper.class_manager.dispatch
    if (
        statement is None
        or session.get_bind(mapper).dialect.name != backend.DIALECT
        # Because a session expunges only flushed objects when a savepoint is rolled back.
        or session.in_nested_transaction()
        or any(_is_special(values[name], column.type) for name, column in columns.items())
        or any(SESSION_EVENTS(session.dispatch) + MODEL_EVENTS(mapper.dispatch))
        # The first listener of `init` is SQLAlchemy's. Validators are listeners, too.
        or any((instances.load, len(instances.init) > 1))
        or any(getattr(model, name).dispatch.set for name in values)
    ):
        return None
    parameters = {column.key: values[name] for name, column in columns.items()}
    return session.scalars(statement, parameters).one_or_none()


def _is_special(value: Any, kind: Any) -> bool:
    is_long = isinstance(value, str) and len(value) > (getattr(kind, "length", None) or len(value))
    return is_long or callable(value) or _is_sql(value)


def _construct(model: type[T], values: dict[str, Any]) -> T:
    fields = getattr(model, "__dataclass_fields__", {})
    later = [name for name in values if name in fields and not fields[name].init]
    instance = model(**{name: value for name, value in values.items() if name not in later})
    for name in later:
        setattr(instance, name, values[name])
    return instance


def _flush(session: Session, instance: Any) -> None:
    session.flush()
    # Load the attributes that the flush has expired, and those that the model loads eagerly.
    state = inspect(instance, raiseerr=True)
    names = state.expired_attributes.intersection(state.mapper.column_attrs.keys())
    names |= state.unloaded & {attribute.key for attribute in eager_relationships(state.mapper)}
    if names:
        session.refresh(instance, names)


def _strip_exact_suffix(model: type[Any], attrs: Values, *others: Values | None) -> dict[str, Any]:
    """Return `attrs` without `__exact`. Raises TypeError for names that the model lacks."""
    attrs = {name.removesuffix("__exact"): value for name, value in attrs.items()}
    for name in (name for mapping in (attrs, *others) for name in mapping or ()):
        if not hasattr(model, name):
            known = ", ".join(inspect(model, raiseerr=True).all_orm_descriptors.keys())
            raise TypeError(f"{model.__name__} has no attribute '{name}'; it has: {known}")
    return attrs


def _resolve_callables(values: Values | None) -> dict[str, Any]:
    return {name: value() if callable(value) else value for name, value in (values or {}).items()}


@lru_cache
def _primary_key(mapper: Mapper[Any]) -> tuple[str, ...]:
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


@lru_cache
def eager_relationships(mapper: Mapper[Any]) -> list[Any]:
    """Return the attributes of the relationships that are loaded along with a row."""
    return [related.class_attribute for related in mapper.relationships if related.lazy in EAGER]


def _is_sql(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


@lru_cache(maxsize=1024)
def _cached_select(mapper: Mapper[T], names: Names, lock: bool) -> Select[T]:
    """Return a statement that looks up these names. Building it takes longer than running it."""
    return _select(mapper, {name: None if null else bindparam(name) for name, null in names}, lock)


@lru_cache(maxsize=1024)
def _cached_insert(mapper: Mapper[Any], names: Names) -> tuple[Any, dict[str, Column[Any]]]:
    """Return a statement that inserts these names, and the columns of those that are not None."""
    table, known = mapper.local_table, mapper.columns
    columns = {name: known[name] for name, is_none in names if name in known and not is_none}
    filled = {getattr(table, "autoincrement_column", None), *columns.values()}
    special = (mapper.inherits, mapper.polymorphic_on, mapper.version_id_col)
    if (
        # On PostgreSQL, a row needs a savepoint if it can break another than a unique constraint.
        not isinstance(table, Table)
        or table.foreign_keys
        or any(isinstance(constraint, CheckConstraint) for constraint in table.constraints)
        or any(not (c.nullable or c.default or c.server_default or c in filled) for c in table.c)
        # These need a flush.
        or any(feature is not None for feature in special)
        or mapper.class_manager.original_init is not registry().constructor
        or eager_relationships(mapper)
        or any(p.deferred or not isinstance(p.expression, Column) for p in mapper.column_attrs)
        or any(name not in known for name, _ in names)
        or any(known[name].type.should_evaluate_none for name, is_none in names if is_none)
    ):
        return None, {}
    inserted = insert(table).on_conflict_do_nothing().returning(*known)
    statement = select(mapper).from_statement(inserted)
    return statement.execution_options(populate_existing=True), columns


def _select(mapper: Mapper[T], values: Values, lock: bool) -> Select[T]:
    conditions = [_equal(getattr(mapper.class_, name), value) for name, value in values.items()]
    statement = select(mapper).where(*conditions).execution_options(populate_existing=True)
    return statement.with_for_update(of=mapper.class_) if lock else statement


def _equal(attribute: Any, value: Any) -> ColumnElement[bool]:
    if value is None and isinstance(getattr(attribute, "type", None), JSON):
        return attribute.is_(None) | (attribute.cast(Text) == "null")  # type: ignore[no-any-return]
    return attribute == value  # type: ignore[no-any-return]
