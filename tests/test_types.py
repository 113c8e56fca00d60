"""UTCDateTime, with instants in any time zone."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.engine.default import DefaultDialect

from .support.layers import load


@pytest.fixture(scope="module")
def types(rendered: Mapping[str, Path]) -> ModuleType:
    return load(rendered["sync-sqlite"] / "src/my_service/db/types.py", "rendered_types")


def instants() -> st.SearchStrategy[datetime]:
    """Generate instants in any time zone that UTC can represent."""
    zones = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
    day = timedelta(days=1)
    return st.datetimes(
        datetime.min + day,
        datetime.max - day,
        timezones=st.timezones() | zones.map(timezone),
    )


@given(instants())
def test_an_instant_comes_back_aware_and_in_utc(types: ModuleType, instant: datetime) -> None:
    column = types.UTCDateTime()
    kept = column.process_bind_param(instant, DefaultDialect())
    # Drivers return it in UTC, without a zone, or in the zone of the server.
    for returned in (kept, kept.replace(tzinfo=None), instant):
        back = column.process_result_value(returned, DefaultDialect())
        assert back == instant.astimezone(UTC)
        assert back.tzinfo is UTC


@given(st.lists(instants(), min_size=2, max_size=9))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sqlite_keeps_instants_and_their_order(
    types: ModuleType, tmp_path: Path, given: list[datetime]
) -> None:
    (tmp_path / "instants.db").unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{tmp_path}/instants.db")
    table = Table("instants", MetaData(), Column("at", types.UTCDateTime()))
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table), [{"at": instant} for instant in given])
        kept = connection.scalars(select(table.c.at).order_by(table.c.at)).all()
        assert kept == sorted(instant.astimezone(UTC) for instant in given)
        pivot = given[0].astimezone(UTC)
        later = select(table.c.at).where(table.c.at > pivot).order_by(table.c.at)
        assert connection.scalars(later).all() == [at for at in kept if at > pivot]
    engine.dispose()


@given(st.datetimes())
def test_a_naive_datetime_is_refused(types: ModuleType, naive: datetime) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        types.UTCDateTime().process_bind_param(naive, DefaultDialect())
