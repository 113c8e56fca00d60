"""The driver for a URL, in both forms of the rendered code, for any URL."""

import importlib
import sqlite3
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError

from .support.layers import module

DIALECTS = ("postgresql", "sqlite", "mysql", "mariadb", "oracle", "mssql")
SECRET = "s3cret"  # noqa: S105
SPECIAL = f"{SECRET}@:/#%? +&=[],\\"

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
names = st.text("abc-_.09", min_size=1)
passwords = words.map(lambda word: SECRET + word)
hosts = names | st.sampled_from(["::1", "fe80::1%eth0", "10.0.0.1", "xn--bcher-kva"])
drivers = st.sampled_from(
    ["asyncpg", "psycopg", "psycopg2", "pg8000", "aiosqlite", "pysqlite", "oracledb", "nosuch"]
)
dialects = st.sampled_from([*DIALECTS, "postgres", "cockroach", "cockroachdb", "nosuch"])
urls = st.builds(
    URL.create,
    drivername=dialects | st.builds("{}+{}".format, dialects, drivers),
    username=st.none() | words,
    password=st.none() | passwords,
    host=st.none() | hosts,
    port=st.none() | st.integers(0, 65535),
    database=st.none() | words,
    query=st.dictionaries(names, words | st.lists(words, min_size=2), max_size=3),
)
# What is not rendered by SQLAlchemy may be written by hand, with more or less care. One host only.
scrawls = st.builds(
    "{}://{}{}{}".format,
    dialects,
    st.text("u:p@/?#[]%"),
    st.just(SECRET),
    st.text("h:1@/?#[]%=&"),
)


def drivers_of(dialect: str) -> list[str]:
    """Return every driver that SQLAlchemy has for a dialect."""
    package = importlib.import_module(f"sqlalchemy.dialects.{dialect.replace('mariadb', 'mysql')}")
    return [
        name
        for name, module in vars(package).items()
        if name != "base" and hasattr(module, "dialect")
    ]


# pg8000 knows neither time limits for connecting nor those of a session.
NAMED = [
    (dialect, driver)
    for dialect in DIALECTS
    for driver in drivers_of(dialect)
    if driver != "pg8000"
]


@pytest.fixture(scope="module", params=["async", "sync"])
def io(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def rendered_urls(rendered: Mapping[str, Path], io: str) -> ModuleType:
    return module(rendered, f"{io}-postgresql", "urls")


@pytest.fixture(scope="module")
def asyncpg_params(rendered: Mapping[str, Path]) -> ModuleType:
    return module(rendered, "async-postgresql", "asyncpg_params")


def parts(url: URL) -> tuple[object, ...]:
    """Return all that may not change."""
    return (url.username, url.password, url.host, url.port, url.database, url.query)


@given(urls | urls.map(lambda url: url.render_as_string(hide_password=False)) | scrawls)
@example(f"postgresql://user:{SECRET}@host:port/name")
@example(f"postgresql://user:{SECRET}@{SECRET}@host/name")
@example(f"user:{SECRET}@host/name")
@example(f"postgresql://us,er:,{SECRET},/@host/na,me?application_name=a,b")
def test_a_url_keeps_all_but_its_driver_or_is_refused_without_its_password(
    rendered_urls: ModuleType, given: str | URL
) -> None:
    try:
        before = make_url(given)
    except (ArgumentError, ValueError):
        before = None
    try:
        after = rendered_urls.driver_url(given)
    except ValueError as error:
        refusal = "".join(traceback.format_exception(error))
    else:
        refusal = ""
    assert SECRET not in refusal
    if refusal:
        return
    if before is not None:
        assert parts(after) == parts(before)
    assert after.get_driver_name() in rendered_urls.DRIVERS[after.get_backend_name()]
    assert rendered_urls.driver_url(after) == after
    assert "@" not in (after.host or "")
    if SECRET in (after.password or ""):
        assert SECRET not in f"{after} {after!r}"


@pytest.mark.parametrize(("dialect", "driver"), NAMED)
def test_every_driver_that_sqlalchemy_knows_is_kept_or_replaced_by_one_that_can_serve(
    rendered_urls: ModuleType, io: str, dialect: str, driver: str
) -> None:
    def serves(url: URL) -> bool:
        known = url._get_entrypoint()
        return (known.get_async_dialect_cls(url) if io == "async" else known).is_async is (
            io == "async"
        )

    given = make_url(f"{dialect}+{driver}://user:{SECRET}@host/name")
    chosen = rendered_urls.driver_url(given)
    assert chosen.get_backend_name() == dialect
    assert serves(chosen)
    if serves(given):
        assert chosen == given
    else:
        assert chosen == rendered_urls.driver_url(given.set(drivername=dialect))


def test_pg8000_is_refused_or_replaced(rendered_urls: ModuleType, io: str) -> None:
    if io == "async":
        assert rendered_urls.driver_url("postgresql+pg8000://h/n").drivername.endswith("asyncpg")
    else:
        with pytest.raises(ValueError, match="no driver 'pg8000' for postgresql here; use one of"):
            rendered_urls.driver_url("postgresql+pg8000://h/n")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_driver_that_cannot_serve_is_refused_with_those_that_can(
    rendered_urls: ModuleType, dialect: str
) -> None:
    with pytest.raises(ValueError, match=f"no driver 'nosuch' for {dialect} here") as raised:
        rendered_urls.driver_url(f"{dialect}+nosuch://user:{SECRET}@host/name")
    for driver in rendered_urls.DRIVERS[dialect]:
        assert driver in str(raised.value)


@pytest.mark.parametrize(
    ("given", "hosts", "ports"),
    [
        ("u:p@h1:5432,h2:5433", "h1,h2", "5432,5433"),
        ("u:p@h1,h2:5433", "h1,h2", "5432,5433"),
        ("u:p@h1,h2", "h1,h2", "5432,5432"),
        ("u:p@[::1]:5433,10.0.0.1", "::1,10.0.0.1", "5433,5432"),
        ("u:p/,:w@h1:1,h2:2", "h1,h2", "1,2"),
        ("h1:1,h2:2", "h1,h2", "1,2"),
    ],
)
def test_several_hosts_go_into_the_query(
    rendered_urls: ModuleType, given: str, hosts: str, ports: str
) -> None:
    text = f"postgresql://{given}/db?target_session_attrs=read-write&sslmode=require"
    url = rendered_urls.driver_url(text)
    assert url.host is None
    assert url.query == {
        "host": hosts,
        "port": ports,
        "target_session_attrs": "read-write",
        "sslmode": "require",
    }
    dialect: Dialect = url.get_dialect()()
    [], options = dialect.create_connect_args(url)
    listed = [options[name] for name in ("host", "port")]
    if url.get_driver_name() == "asyncpg":
        listed = [",".join(map(str, values)) for values in listed]
    assert listed == [hosts, ports]
    assert rendered_urls.driver_url(url) == url


@given(passwords | st.just(SPECIAL))
def test_a_password_of_any_characters_survives(rendered_urls: ModuleType, password: str) -> None:
    given = URL.create("postgres", "user", password, "host", 1, "name")
    for url in (given, given.render_as_string(hide_password=False)):
        assert rendered_urls.driver_url(url).password == password


@pytest.mark.parametrize(
    "query",
    [
        {"channel_binding": "require"},
        {"gssencmode": "require"},
        {"client_encoding": "latin1"},
        {"hostaddr": "127.0.0.1"},
        {"require_auth": "scram-sha-256"},
        {"load_balance_hosts": "random"},
        {"sslrootcert": "system"},
        {"keepalives_idle": "30"},
        {"tcp_user_timeout": "30"},
        {"connect_timeout": "soon"},
        {"statement_cache_size": "many"},
        {"password": SECRET},
        {"nosuch": SECRET},
    ],
)
def test_what_asyncpg_cannot_do_is_refused_by_name(asyncpg_params: ModuleType, query: Any) -> None:
    [name] = query
    with pytest.raises(ValueError, match=f"asyncpg does not support this '{name}'") as raised:
        asyncpg_params.check(URL.create("postgresql+asyncpg", query=query))
    assert SECRET not in str(raised.value)


def test_a_standby_is_preferred_at_any_host_before_the_rest_is_tried(
    asyncpg_params: ModuleType,
) -> None:
    class Dead:
        loaded_dbapi = sqlite3
        tried: ClassVar[list[tuple[str, int, str]]] = []

        def connect(self, host: str, port: int, target_session_attrs: str, **_: Any) -> None:
            self.tried.append((host, port, target_session_attrs))
            raise ConnectionRefusedError

    options = {"host": ["h1", "h2"], "port": [1, 2], "target_session_attrs": "prefer-standby"}
    with pytest.raises(ConnectionRefusedError):
        asyncpg_params.connect(Dead(), options)
    assert Dead.tried == [
        *[("h1", 1, "standby"), ("h2", 2, "standby")],
        *[("h1", 1, "any"), ("h2", 2, "any")],
    ]
