"""The users: an example to replace."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from ..models import User
from .dependencies import DatabaseReadSession, DatabaseSession

router = APIRouter(prefix="/users", tags=["users"])

# PostgreSQL has no text with a NUL character in it.
NO_NUL = r"^[^\x00]*$"
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=NO_NUL),
]
FullName = Annotated[str, StringConstraints(max_length=200, pattern=NO_NUL)]
UserId = Annotated[int, Path(ge=1, lt=2**31)]


class UserIn(BaseModel):
    """Request body for creating or replacing a user."""

    name: Name
    full_name: FullName | None = None


class UserOut(BaseModel):
    """Response body for a user."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    full_name: str | None
    created_at: datetime


async def find_user(session: AsyncSession, user_id: int, *, lock: bool = False) -> User:
    """Return a user, locked to be changed. Raises HTTPException 404 if it is unknown or deleted."""
    user = await session.get(User, user_id, with_for_update=lock)
    if user is None or user.deleted_at is not None:
        raise HTTPException(404, "There is no such user.")
    return user


@router.post("", status_code=201, response_model=UserOut)
async def create_user(
    user_in: UserIn,
    session: DatabaseSession,
    request: Request,
    response: Response,
) -> User:
    """Create a user. The name of a deleted one stays taken."""
    user = User(name=user_in.name, full_name=user_in.full_name)
    session.add(user)
    await session.flush()
    response.headers["Location"] = str(request.url_for("read_user", user_id=user.id))
    return user


@router.get("", response_model=list[UserOut])
async def list_users(
    session: DatabaseReadSession,
    request: Request,
    response: Response,
    after: Annotated[int, Query(ge=0, lt=2**31, description="the last id of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Sequence[User]:
    """List the users, page by page. The `Link` header has the next page."""
    statement = select(User).where(User.deleted_at.is_(None), User.id > after)
    found = await session.scalars(statement.order_by(User.id).limit(limit))
    users = found.all()
    if len(users) == limit:
        url = request.url.include_query_params(after=users[-1].id)
        response.headers["Link"] = f'<{url}>; rel="next"'
    return users


@router.get("/{user_id}", response_model=UserOut)
async def read_user(user_id: UserId, session: DatabaseReadSession) -> User:
    """Return a user."""
    return await find_user(session, user_id)


@router.put("/{user_id}", response_model=UserOut)
async def replace_user(user_id: UserId, user_in: UserIn, session: DatabaseSession) -> User:
    """Replace a user."""
    user = await find_user(session, user_id, lock=True)
    user.name = user_in.name
    user.full_name = user_in.full_name
    await session.flush()
    return user


@router.delete("/{user_id}", status_code=204)
async def delete_user(user_id: UserId, session: DatabaseSession) -> None:
    """Delete a user; the row stays in the table."""
    user = await find_user(session, user_id, lock=True)
    user.deleted_at = datetime.now(UTC)
