import pytest
from sqlalchemy import func, inspect, select, update
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession

from my_service.db import (
    AsyncDatabaseManager,
    get_by_pk,
    get_one,
    get_or_create,
    update_or_create,
)

from ..concurrency import run_concurrently
from .models import Link, Page, PlainPage, Word


async def count(session: AsyncSession) -> int:
    found = await session.scalars(select(func.count()).select_from(Page))
    return found.one()


async def test_get_by_pk_returns_the_row_or_none(table_session: AsyncSession) -> None:
    page, _ = await Page.get_or_create(table_session, path="/")
    assert await Page.get_by_pk(table_session, page.id) is page
    assert await Page.get_by_pk(table_session, page.id + 1) is None


async def test_get_by_pk_takes_a_composite_key_as_a_tuple(table_session: AsyncSession) -> None:
    word, _ = await Word.get_or_create(table_session, model="a", pk="b")
    assert await Word.get_by_pk(table_session, ("a", "b")) is word
    with pytest.raises(TypeError, match=r"\(model, pk\)"):
        await Word.get_by_pk(table_session, "a")


async def test_get_one_raises_for_no_match_and_for_several(table_session: AsyncSession) -> None:
    table_session.add_all([Page(path="/a", title="same"), Page(path="/b", title="same")])
    found = await Page.get_one(table_session, path="/a")
    assert found.path == "/a"
    with pytest.raises(NoResultFound):
        await Page.get_one(table_session, path="/c")
    with pytest.raises(MultipleResultsFound):
        await Page.get_one(table_session, title="same")


async def test_lookups_match_null_and_related_objects(table_session: AsyncSession) -> None:
    page, _ = await Page.get_or_create(table_session, path="/", title=None)
    assert await Page.get_one(table_session, title=None) is page
    link, _ = await Link.get_or_create(table_session, page=page, target="x")
    assert await Link.get_one(table_session, page=page) is link
    assert await Page.get_one(table_session, path=func.lower("/")) is page


async def test_pending_changes_are_found_and_kept_without_autoflush(
    table_session: AsyncSession,
) -> None:
    page, _ = await Page.get_or_create(table_session, path="/")
    with table_session.no_autoflush:
        page.title = "changed"
        assert await Page.get_one(table_session, path="/", title="changed") is page
    assert page.title == "changed"


async def test_a_returned_object_has_the_values_of_its_row(table_session: AsyncSession) -> None:
    page, _ = await Page.get_or_create(table_session, path="/", title="before")
    statement = update(Page).values(title="elsewhere")
    for find in (Page.get_one, Page.get_or_create, Page.update_or_create):
        page.title = "in memory"
        await table_session.flush()
        await table_session.execute(statement, execution_options={"synchronize_session": False})
        await find(table_session, path="/")
        assert page.title == "elsewhere"


async def test_columns_may_have_the_names_of_parameters(table_session: AsyncSession) -> None:
    word, created = await Word.get_or_create(table_session, model="m", pk="p", session="s")
    assert created
    assert await Word.get_one(table_session, model="m", pk="p", session="s", defaults=None) is word
    assert await get_one(table_session, Word, model="m") is word
    for find in (Word.get_or_create, Word.update_or_create):
        again, created = await find(table_session, model="m", defaults__exact=None)
        assert (again, created) == (word, False)


async def test_unknown_names_are_refused_before_any_statement(table_session: AsyncSession) -> None:
    message = "Page has no attribute 'pth'; it has: .*path"
    with pytest.raises(TypeError, match=message):
        await Page.get_one(table_session, pth="/")
    with pytest.raises(TypeError, match=message):
        await Page.get_or_create(table_session, {"pth": "/"}, path="/")
    with pytest.raises(TypeError, match=message):
        await Page.update_or_create(table_session, create_defaults={"pth": "/"}, path="/")
    assert not table_session.in_transaction()


async def test_get_or_create_uses_defaults_for_a_new_row_only(table_session: AsyncSession) -> None:
    calls = []

    def title() -> str:
        calls.append("called")
        return "new"

    page, created = await Page.get_or_create(table_session, {"title": title}, path="/")
    assert (created, page.title) == (True, "new")
    again, created = await Page.get_or_create(table_session, {"title": title}, path="/")
    assert (created, again) == (False, page)
    assert calls == ["called"]


async def test_update_or_create_updates_or_creates(table_session: AsyncSession) -> None:
    page, created = await Page.update_or_create(table_session, {"title": "first"}, path="/")
    assert (created, page.title) == (True, "first")
    same, created = await Page.update_or_create(table_session, {"title": "second"}, path="/")
    assert (created, same, page.title) == (False, page, "second")


async def test_update_or_create_distinguishes_empty_create_defaults_from_none(
    table_session: AsyncSession,
) -> None:
    page, _ = await Page.update_or_create(table_session, {"title": "t"}, {}, path="/a")
    assert page.title is None
    page, _ = await Page.update_or_create(table_session, {"title": "t"}, {"title": "c"}, path="/b")
    assert page.title == "c"


async def test_update_or_create_takes_sql_expressions(table_session: AsyncSession) -> None:
    await Page.get_or_create(table_session, path="/")
    visits = {"visits": Page.visits + 1}
    page, _ = await Page.update_or_create(table_session, visits, path="/")
    page, _ = await Page.update_or_create(table_session, visits, path="/")
    assert page.visits == 2


async def test_what_a_model_loads_along_is_there(tables: AsyncDatabaseManager) -> None:
    async with tables.Session.begin() as session:
        session.add(Page(path="/", links=[Link(target="x")]))
    async with tables.Session() as session:
        link = await Link.get_one(session, target="x")
        assert link.page.path == "/"
    async with tables.Session() as session:
        link, _ = await Link.update_or_create(session, target="x")
        assert link.page.path == "/"


async def test_what_is_related_can_be_awaited(tables: AsyncDatabaseManager) -> None:
    async with tables.Session.begin() as session:
        session.add(Page(path="/", links=[Link(target="x")]))
    async with tables.Session() as session:
        page = await Page.get_one(session, path="/")
        links = await page.awaitable_attrs.links
        assert [link.target for link in links] == ["x"]


async def test_the_functions_serve_classes_without_our_base(table_session: AsyncSession) -> None:
    page, created = await get_or_create(table_session, PlainPage, path="/")
    assert created
    page, created = await update_or_create(table_session, PlainPage, {"title": "x"}, path="/")
    assert not created
    found = await get_by_pk(table_session, PlainPage, inspect(page, raiseerr=True).identity)
    assert found is page


async def test_a_broken_constraint_raises_and_leaves_earlier_work(
    table_session: AsyncSession,
) -> None:
    await Page.get_or_create(table_session, path="/")
    with pytest.raises(IntegrityError):
        await Page.get_or_create(table_session, {"path": "/"}, title="no such title")
    assert await count(table_session) == 1
    await table_session.commit()


async def test_of_concurrent_callers_one_creates_the_row(tables: AsyncDatabaseManager) -> None:
    async def create(number: int) -> bool:
        async with tables.Session.begin() as session:
            await Word.get_or_create(session, model="earlier work", pk=str(number))
            _, created = await Page.get_or_create(session, path=f"/{number // 32}")
            return created

    results = await run_concurrently(create, range(64))
    assert results.count(True) == 2
    async with tables.Session() as session:
        assert await count(session) == 2
        words = await session.scalars(select(func.count()).select_from(Word))
        assert words.one() == 64


async def test_concurrent_updates_are_all_kept(tables: AsyncDatabaseManager) -> None:
    async def visit(number: int) -> None:
        async with tables.Session.begin() as session:
            page, _ = await Page.update_or_create(session, path="/")
            page.visits += 1

    await run_concurrently(visit, range(50))
    async with tables.Session() as session:
        page = await Page.get_one(session, path="/")
        assert page.visits == 50
