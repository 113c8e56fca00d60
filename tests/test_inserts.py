"""What a project does on another database than its own, where its way to insert may not exist."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from .support.layers import load


class Base(DeclarativeBase):
    pass


class Word(Base):
    __tablename__ = "words"

    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(unique=True)


def test_on_another_database_a_row_is_inserted_within_a_savepoint(
    rendered: Mapping[str, Path],
) -> None:
    layer = load(rendered["sync-postgresql"] / "src/my_service/db", "db_on_another_database")
    engine = create_engine("sqlite://")
    savepoints: list[object] = []
    event.listen(engine, "savepoint", lambda *args: savepoints.append(args))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        word, created = layer.get_or_create(session, Word, word="a")
        assert (created, len(savepoints)) == (True, 1)
        assert layer.get_or_create(session, Word, word="a") == (word, False)
    engine.dispose()
