"""Tables for the tests of the database layer, apart from those of the service."""

from datetime import datetime

from sqlalchemy import ForeignKey, MetaData, UniqueConstraint
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from my_service.db.base import QueryMixin
from my_service.db.types import UTCDateTime


class TableBase(AsyncAttrs, QueryMixin, DeclarativeBase):
    metadata = MetaData()


class Page(TableBase):
    __tablename__ = "pages"

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str | None]
    visits: Mapped[int] = mapped_column(default=0)
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    links: Mapped[list["Link"]] = relationship(back_populates="page")


class Link(TableBase):
    __tablename__ = "links"
    __table_args__ = (UniqueConstraint("page_id", "target"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    page_id: Mapped[int] = mapped_column(ForeignKey("pages.id", ondelete="CASCADE"))
    target: Mapped[str]
    page: Mapped[Page] = relationship(back_populates="links", lazy="selectin")


class Word(TableBase):
    """Columns named like the parameters of the query functions, and a key of two columns."""

    __tablename__ = "words"

    model: Mapped[str] = mapped_column(primary_key=True)
    pk: Mapped[str] = mapped_column(primary_key=True)
    session: Mapped[str | None]
    defaults: Mapped[str | None]


class PlainBase(DeclarativeBase):
    metadata = TableBase.metadata


class PlainPage(PlainBase):
    """The same table, by a class that knows nothing of our base."""

    __table__ = Page.__table__
