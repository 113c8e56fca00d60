import pytest
from sqlalchemy import exc, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from .models import Link, Page


async def paths(session: AsyncSession) -> list[str]:
    found = await session.scalars(select(Page.path).order_by(Page.path))
    return list(found)


async def break_a_constraint(session: AsyncSession) -> None:
    with pytest.raises(exc.IntegrityError):
        await Page.get_or_create(session, {"path": "/"}, title="no such title")
    with pytest.raises(exc.IntegrityError):
        await Page.update_or_create(session, {"path": "/"}, title="no such title")


async def test_savepoints_undo_what_is_theirs_at_any_depth(table_session: AsyncSession) -> None:
    await Page.get_or_create(table_session, path="/")
    for _ in range(2):
        async with table_session.begin_nested() as outer:
            await Page.get_or_create(table_session, path="/outer")
            await break_a_constraint(table_session)
            async with table_session.begin_nested() as inner:
                await Page.get_or_create(table_session, path="/inner")
                async with table_session.begin_nested():
                    await Page.update_or_create(table_session, path="/innermost")
                    await break_a_constraint(table_session)
                await break_a_constraint(table_session)
                assert await paths(table_session) == ["/", "/inner", "/innermost", "/outer"]
                await inner.rollback()
            assert await paths(table_session) == ["/", "/outer"]
            await Page.get_or_create(table_session, path="/after")
            await break_a_constraint(table_session)
            await outer.rollback()
        assert await paths(table_session) == ["/"]
        await break_a_constraint(table_session)
    async with table_session.begin_nested():
        await Page.get_or_create(table_session, path="/kept")
        await break_a_constraint(table_session)
    await table_session.commit()
    assert await paths(table_session) == ["/", "/kept"]


async def test_a_broken_constraint_leaves_the_session_as_it_was(
    table_session: AsyncSession,
) -> None:
    page, _ = await Page.get_or_create(table_session, path="/")
    page.title = "changed"
    pending = Page(path="/pending", links=[Link(target="x")])
    table_session.add(pending)
    await break_a_constraint(table_session)
    assert (page.title, pending.path, pending.links[0].target) == ("changed", "/pending", "x")
    assert set(table_session) == {page, pending, pending.links[0]}
    assert all(inspect(kept, raiseerr=True).persistent for kept in table_session)
    await table_session.commit()
    await table_session.refresh(page)
    assert page.title == "changed"
    assert await paths(table_session) == ["/", "/pending"]
