"""Look rows up by attribute, create them and update them, without losing a race.

The functions serve any mapped class; `Base` offers them as methods. For all of them:

* keyword arguments look up; a name that the model does not have raises TypeError before any SQL;
  a column called `defaults` or `create_defaults` is looked up as `defaults__exact=…`;
* pending changes are flushed first, and what is returned shows what the row holds;
* more than one match raises sqlalchemy.exc.MultipleResultsFound.

Concurrent callers are safe where a unique constraint covers what is looked up. Without one, two
callers may both create a row.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ClauseElement, ColumnElement, Select, bindparam, inspect, select
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, Session

T = TypeVar("T")
Values = Mapping[str, Any]


async def get_by_pk(session: AsyncSession, model: type[T], pk: Any, /) -> T | None:
    """Return the row with this primary key, or None. A composite key is a tuple."""
    names = _primary_key(inspect(model, raiseerr=True))
    values = pk if isinstance(pk, tuple) else (pk,)
    if len(values) != len(names):
        raise TypeError(f"the primary key of {model.__name__} is ({', '.join(names)})")
    return await session.run_sync(_find, model, dict(zip(names, values, strict=True)))


async def get_one(session: AsyncSession, model: type[T], /, **attrs: Any) -> T:
    """Return the one row that matches. Raises sqlalchemy.exc.NoResultFound if there is none.

    The row is not locked: to change what depends on its values, there is `update_or_create`.
    """
    attrs = _exact(attrs)
    check_names(model, attrs)
    found = await session.run_sync(_find, model, attrs)
    if found is None:
        raise NoResultFound("No row was found when one was required")
    return found


async def get_or_create(
    session: AsyncSession, model: type[T], /, defaults: Values | None = None, **attrs: Any
) -> tuple[T, bool]:
    """Return the row that matches, created if there is none, and whether it was created.

    `defaults` holds further values for a new row; those that are callable are called then.
    The row is created in a savepoint: if another caller was faster, theirs is returned and the
    transaction goes on. Raises IntegrityError if the new row breaks any other constraint.
    """
    attrs = _exact(attrs)
    check_names(model, attrs, defaults)
    return await session.run_sync(_find_or_insert, model, attrs, defaults)


async def update_or_create(
    session: AsyncSession,
    model: type[T],
    /,
    defaults: Values | None = None,
    create_defaults: Values | None = None,
    **attrs: Any,
) -> tuple[T, bool]:
    """Update the row that matches with `defaults`, or create it; return it and whether it is new.

    A new row gets `create_defaults` if given (an empty one counts), and otherwise `defaults`.
    Callables are called, SQL expressions such as `User.visits + 1` are evaluated by the database.
    The row is locked from here to the end of the transaction, so that no update is lost.
    Raises IntegrityError if the row would break another constraint.
    """
    attrs = _exact(attrs)
    check_names(model, attrs, defaults, create_defaults)
    new = defaults if create_defaults is None else create_defaults
    return await session.run_sync(_update_or_insert, model, attrs, defaults, new)


# Blocking code for run_sync: to enter it costs time, so each call does so once.
def _find(session: Session, model: type[T], attrs: Values, lock: bool = False) -> T | None:
    # The statement overwrites what is in memory; without autoflush, changes would be lost.
    if not session.autoflush:
        session.flush()
    return session.scalars(_statement(model, attrs, lock), attrs).one_or_none()


def _find_or_insert(
    session: Session, model: type[T], attrs: Values, defaults: Values | None, lock: bool = False
) -> tuple[T, bool]:
    found = _find(session, model, attrs, lock)
    if found is not None:
        return found, False
    try:
        with session.begin_nested():
            instance = model(**{**attrs, **_evaluated(defaults)})
            session.add(instance)
    except IntegrityError:
        found = _find(session, model, attrs, lock)
        if found is None:
            raise
        return found, False
    return instance, True


def _update_or_insert(
    session: Session, model: type[T], attrs: Values, defaults: Values | None, new: Values | None
) -> tuple[T, bool]:
    instance, created = _find_or_insert(session, model, attrs, new, lock=True)
    if not created:
        for name, value in _evaluated(defaults).items():
            setattr(instance, name, value)
        session.flush()
        if expired := inspect(instance, raiseerr=True).expired_attributes:
            session.refresh(instance, expired)
    return instance, created


def check_names(model: type[Any], *values: Values | None) -> None:
    """Raise TypeError for names that are no attributes of the model, and list those that are."""
    for name in (name for mapping in values for name in mapping or ()):
        if not hasattr(model, name):
            known = ", ".join(inspect(model, raiseerr=True).all_orm_descriptors.keys())
            raise TypeError(f"{model.__name__} has no attribute '{name}'; it has: {known}")


def _exact(attrs: dict[str, Any]) -> dict[str, Any]:
    return {name.removesuffix("__exact"): value for name, value in attrs.items()}


def _evaluated(values: Values | None) -> dict[str, Any]:
    return {name: value() if callable(value) else value for name, value in (values or {}).items()}


@lru_cache
def _primary_key(mapper: Mapper[Any]) -> tuple[str, ...]:
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def _statement(model: type[T], attrs: Values, lock: bool) -> Select[T]:
    mapper = inspect(model, raiseerr=True)
    columns = mapper.column_attrs
    if all(name in columns and not _is_sql(value) for name, value in attrs.items()):
        names = tuple((name, value is None) for name, value in attrs.items())
        return _prepared(mapper, names, lock)
    return _select(mapper, [getattr(model, name) == value for name, value in attrs.items()], lock)


def _is_sql(value: object) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


@lru_cache(maxsize=1024)
def _prepared(mapper: Mapper[T], names: tuple[tuple[str, bool], ...], lock: bool) -> Select[T]:
    """Return the statement that looks up these names. Building it costs more than running it."""
    conditions = []
    for name, is_null in names:
        attribute = getattr(mapper.class_, name)
        conditions.append(attribute.is_(None) if is_null else attribute == bindparam(name))
    return _select(mapper, conditions, lock)


def _select(mapper: Mapper[T], conditions: list[ColumnElement[bool]], lock: bool) -> Select[T]:
    statement = select(mapper).where(*conditions).execution_options(populate_existing=True)
    return statement.with_for_update(of=mapper.class_) if lock else statement
