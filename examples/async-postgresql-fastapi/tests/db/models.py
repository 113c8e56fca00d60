"""Tables for the tests of the database layer, apart from those of the service."""

import enum
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    CheckConstraint,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    String,
    UniqueConstraint,
    func,
    update,
)
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    mapped_column,
    relationship,
    synonym,
)

from my_service.db import AsyncDatabaseManager
from my_service.db.base import QueryMixin
from my_service.db.types import UTCDateTime, utcnow


class TableBase(AsyncAttrs, QueryMixin, DeclarativeBase):
    metadata = MetaData()


class Page(TableBase):
    __tablename__ = "layer_test_pages"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str | None]
    visits: Mapped[int] = mapped_column(default=0)
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    links: Mapped[list["Link"]] = relationship(back_populates="page")


class Link(TableBase):
    __tablename__ = "layer_test_links"
    __table_args__ = (UniqueConstraint("page_id", "target"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    page_id: Mapped[int] = mapped_column(ForeignKey("layer_test_pages.id", ondelete="CASCADE"))
    target: Mapped[str]
    page: Mapped[Page] = relationship(back_populates="links", lazy="selectin")


class Word(TableBase):
    """Columns named like parameters of the query functions, and a key of two columns."""

    __tablename__ = "layer_test_words"

    model: Mapped[str] = mapped_column(primary_key=True)
    pk: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[str | None]
    defaults: Mapped[str | None]


class Shelf(TableBase):
    """A row that is loaded with its books by a join."""

    __tablename__ = "layer_test_shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    label: Mapped[str | None]
    title: Mapped[str | None] = synonym("label")
    meta: Mapped[Any | None] = mapped_column(JSON)
    opened_at: Mapped[datetime | None] = mapped_column(server_default=func.current_timestamp())
    books: Mapped[list["Book"]] = relationship(lazy="joined", back_populates="shelf")


class Book(TableBase):
    __tablename__ = "layer_test_books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("layer_test_shelves.id"))
    shelf: Mapped[Shelf] = relationship(lazy="joined", back_populates="books")


class Kind(enum.Enum):
    RED = "r"
    BLUE = "b"
    GREEN = "g"


class Item(TableBase):
    """Keys of many types; a row uses one of them."""

    __tablename__ = "layer_test_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[Kind | None] = mapped_column(unique=True)
    uid: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    amount: Mapped[Decimal | None] = mapped_column(Numeric(10, 2), unique=True)
    path: Mapped[list[int] | None] = mapped_column(ARRAY(Integer), unique=True)
    note: Mapped[str | None] = mapped_column(String(20))
    meta: Mapped[Any | None] = mapped_column(JSON)
    visits: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime | None] = mapped_column(UTCDateTime, onupdate=utcnow)


class Limited(TableBase):
    __tablename__ = "layer_test_limited"
    __table_args__ = (CheckConstraint("size < 10"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]


class Versioned(TableBase):
    __tablename__ = "layer_test_versioned"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str | None]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class DataBase(MappedAsDataclass, DeclarativeBase):
    metadata = TableBase.metadata


class Note(DataBase):
    """A dataclass whose constructor takes only some of its attributes."""

    __tablename__ = "layer_test_notes"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str | None] = mapped_column(default=None)
    hint: Mapped[str | None] = mapped_column(default=None, init=False)


class PlainBase(DeclarativeBase):
    metadata = TableBase.metadata


class PlainPage(PlainBase):
    """The same table, mapped without `QueryMixin`."""

    __table__ = Page.__table__


class PlainLink(PlainBase):
    """A table with a foreign key, and no relationship."""

    __table__ = Link.__table__


async def visit(manager: AsyncDatabaseManager) -> None:
    """Count a visit of the page `/`, in a transaction of its own."""
    async with manager.Session.begin() as session:
        await session.execute(update(Page).where(Page.path == "/").values(visits=Page.visits + 1))
