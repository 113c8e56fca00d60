"""The declarative base of the models, with the query functions as methods."""

import enum
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self

from sqlalchemy import Enum, MetaData
from sqlalchemy.orm import DeclarativeBase, Session

from . import queries
from .queries import Values
from .types import UTCDateTime
from .upsert import upsert_many


class QueryMixin:
    """The functions of `queries` and `upsert` as methods: `User.get_one(session, name="ada")`."""

    @classmethod
    def get_by_pk(cls, session: Session, pk: Any, /) -> Self | None:
        """Return the row with this primary key, or None. A composite key is a tuple."""
        return queries.get_by_pk(session, cls, pk)

    @classmethod
    def get_one(cls, session: Session, /, **attrs: Any) -> Self:
        """Return the one row that matches; see `queries.get_one`."""
        return queries.get_one(session, cls, **attrs)

    @classmethod
    def get_or_create(
        cls, session: Session, /, defaults: Values | None = None, **attrs: Any
    ) -> tuple[Self, bool]:
        """Return the row that matches or a new one, and whether it is new; see `queries`."""
        return queries.get_or_create(session, cls, defaults, **attrs)

    @classmethod
    def update_or_create(
        cls,
        session: Session,
        /,
        defaults: Values | None = None,
        create_defaults: Values | None = None,
        **attrs: Any,
    ) -> tuple[Self, bool]:
        """Update the row that matches or create it; return it and whether it is new."""
        return queries.update_or_create(session, cls, defaults, create_defaults, **attrs)

    @classmethod
    def upsert_many(
        cls,
        session: Session,
        rows: Iterable[Values],
        /,
        *,
        on: str | Sequence[str],
        update: str | Sequence[str] | None = None,
        returning: bool = True,
        batch: int = 1000,
    ) -> list[tuple[Self, bool | None]]:
        """Insert many rows and update those that exist; see `upsert.upsert_many`."""
        return upsert_many(
            session, cls, rows, on=on, update=update, returning=returning, batch=batch
        )


class Base(QueryMixin, DeclarativeBase):
    """Base of the models: query methods, names for constraints, UTC datetimes, enums as text."""

    # A migration can alter a constraint only by its name.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UTCDateTime,
        # Store enums as VARCHAR; dropping a table leaves native enum types behind.
        enum.Enum: Enum(enum.Enum, native_enum=False, length=50),
    }
