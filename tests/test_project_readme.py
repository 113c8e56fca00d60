"""The examples in a project's README do what the text around them says."""

import re
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from .support.copiers import Render
from .support.structure import block
from .support.tools import Tools
from .support.variants import VARIANTS

pytestmark = pytest.mark.slow

CORNERS = ["async-sqlite-fastapi", "sync-postgresql-fastapi"]


@pytest.fixture
def readme(project: Path) -> str:
    return (project / "README.md").read_text()


@pytest.fixture
def project(render: Render, variant: str) -> Path:
    return render(**VARIANTS[variant])


def passes(project: Path, tools: Tools, test: str) -> None:
    """Run a test in a project, beside its own; nor does any other tool have an objection."""
    (project / "tests/web/test_readme.py").write_text(test)
    tools.run(project, "ruff", "check", "--no-cache", "src")
    tools.run(project, "ruff", "format", "--check", "--no-cache", "src")
    tools.run(project, "mypy")
    # What fails to load its rows leaves a coroutine behind.
    options = ["-p", "no:cacheprovider", "-W", "ignore:coroutine:RuntimeWarning"]
    tools.run(project, "pytest", *options, "tests/web/test_readme.py")


@pytest.mark.parametrize("variant", CORNERS)
def test_the_route_answers_404_for_an_unknown_name(
    project: Path, readme: str, tools: Tools
) -> None:
    route = block(readme, "Hello {user.full_name}")
    [path] = re.findall(r'@router.get\("(.+)"\)', route)
    users = project / "src/my_service/web/users.py"
    users.write_text(f"{users.read_text()}\n\n{route}")
    test = f"""\
from fastapi.testclient import TestClient


def test_a_user_is_greeted_by_name(client: TestClient) -> None:
    client.post("/users", json={{"name": "ada", "full_name": "Ada Lovelace"}})
    found = client.get("/users{path.format(name="ada")}")
    assert (found.status_code, found.json()) == (200, "Hello Ada Lovelace")
    assert client.get("/users{path.format(name="nobody")}").status_code == 404
"""
    passes(project, tools, test)


ORDERS = """\
    orders: Mapped[list["Order"]] = relationship(back_populates="user")


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(String(100))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    user: Mapped[User] = relationship(back_populates="orders")
"""
ROUTES = """\
from collections.abc import Sequence

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from ..models import Order, User
from .dependencies import DatabaseReadSession, DatabaseSession

router = APIRouter(prefix="/orders", tags=["orders"])


class OrderOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    item: str


class UserWithOrders(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    orders: list[OrderOut]


@router.post("")
async def create_order(session: DatabaseSession) -> None:
    session.add(User(name="ada", orders=[Order(item="a pen")]))


@router.get("", response_model=list[UserWithOrders])
async def list_orders(session: DatabaseReadSession) -> Sequence[User]:
    {block}
    return users.all()


@router.get("/later")
async def list_later(session: DatabaseReadSession) -> list[str]:
    user = await User.get_one(session, name="ada")
    {later}
    return [order.item for order in orders]


@router.get("/lazy", response_model=list[UserWithOrders])
async def list_lazily(session: DatabaseReadSession) -> Sequence[User]:
    users = await session.scalars(select(User))
    return users.all()
"""


@pytest.mark.parametrize("variant", CORNERS)
def test_relationships_are_loaded_as_it_says_and_fail_as_it_says(
    project: Path, readme: str, tools: Tools, database_url: str
) -> None:
    asyncio = "MissingGreenlet" in readme
    assert asyncio is project.joinpath("src/my_service/cli/coroutine.py").exists()
    package = project / "src/my_service"
    models = (package / "models.py").read_text() + ORDERS
    models = models.replace("import String", "import ForeignKey, String")
    models = models.replace(
        "import Mapped, mapped_column", "import Mapped, mapped_column, relationship"
    )
    (package / "models.py").write_text(models)
    later = "orders = user.orders"
    if asyncio:
        [attribute] = re.findall(r"`(await user\.awaitable_attrs\.orders)`", readme)
        later = f"orders = {attribute}"
    routes = ROUTES.format(block=block(readme, "selectinload").strip(), later=later)
    if not asyncio:
        routes = routes.replace("async def", "def").replace("await ", "")
    (package / "web/orders.py").write_text(routes)
    app = (package / "web/app.py").read_text().replace("health, users", "health, orders, users")
    included = "    app.include_router(users.router)\n"
    app = app.replace(included, included + "    app.include_router(orders.router)\n")
    (package / "web/app.py").write_text(app)
    for command in (["sync"], ["revision", "-m", "Create orders"]):
        tools.run(project, "my-service", "db", *command, DATABASE_URL=database_url)
    test = """\
from fastapi import FastAPI
from fastapi.testclient import TestClient


def test_orders_are_listed_with_their_users(app: FastAPI) -> None:
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/orders").status_code == 200
        assert client.get("/orders").json() == [{"name": "ada", "orders": [{"item": "a pen"}]}]
        assert client.get("/orders/later").json() == ["a pen"]
        assert client.get("/orders/lazy").status_code == STATUS
"""
    passes(project, tools, test.replace("STATUS", "500" if asyncio else "200"))


@pytest.mark.parametrize("variant", CORNERS)
def test_a_renamed_column_keeps_its_values_in_both_directions(
    project: Path, readme: str, tools: Tools, database_url: str
) -> None:
    def run(*command: str) -> None:
        tools.run(project, "my-service", "db", *command, DATABASE_URL=database_url)

    models = project / "src/my_service/models.py"
    before = models.read_text()
    [column] = re.findall(r"^`?\s*(email: Mapped.+\))`?", readme, re.M)
    models.write_text(f"{before}    {column}\n")
    run("sync")
    run("revision", "-m", "Add email to users")
    run("upgrade")
    engine = create_engine(database_url)
    with engine.begin() as connection:
        insert = "INSERT INTO users (name, email, created_at) VALUES ('ada', 'a@b', '2026-01-01')"
        connection.execute(text(insert))

    models.write_text(f"{before}    {column.replace('email', 'mail')}\n")
    run("revision", "-m", "Rename email")
    [migration] = (project / "src/my_service/migrations/versions").glob("*_rename_email.py")
    head, up, down = re.split(r"(?=^def )", migration.read_text(), flags=re.M)
    upgrade, *downgrade = re.findall(r"`((?:batch_)?op\.alter_column\([^`]+\))`", readme)
    up = rewritten(up, upgrade)
    if downgrade:
        down = rewritten(down, *downgrade)
    migration.write_text(head + up + down)

    for command, name in (
        (["upgrade"], "mail"),
        (["downgrade", "-1"], "email"),
        (["upgrade"], "mail"),
    ):
        run(*command)
        with engine.connect() as connection:
            assert connection.scalar(text(f"SELECT {name} FROM users")) == "a@b"  # noqa: S608
    engine.dispose()
    # Among the findings would be that of the renamed column.
    run("check", *(("--since", "heads") if "postgresql" in database_url else ()))


def rewritten(function: str, statement: str) -> str:
    """Return a function of a migration with one statement in place of the two that are there."""
    call = r"(?:\(.*\)|\(\n(?:.*\n)+?    \))"
    added = re.sub(rf"\S+\.add_column{call}", lambda _: statement, function)
    return re.sub(rf".*\.drop_column{call}\n", "", added)


def test_the_places_for_what_is_added_exist(rendered: dict[str, Path]) -> None:
    for variant, project in rendered.items():
        readme = (project / "README.md").read_text()
        table = readme.split("## Add to it\n")[1].split("\n## ")[0]
        package = project / "src/my_service"
        assert ("web/" in table) is variant.endswith("fastapi")
        for name in re.findall(r"`((?:tests/|\.env)?[\w/.]+\.(?:py|example))`", table):
            assert (package / name).exists() or (project / name).exists(), name
        for word, path in re.findall(r"`([\w.]+)` (?:in|of) `([\w/.]+\.py)`", table):
            path = project / path if path.startswith("tests/") else package / path
            assert word in path.read_text().replace("class ", ""), word
