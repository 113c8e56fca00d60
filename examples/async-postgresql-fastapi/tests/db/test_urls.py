import pytest

from my_service.db.urls import DRIVERS, driver_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://host/name", "postgresql+asyncpg://host/name"),
        ("postgres://host/name", "postgresql+asyncpg://host/name"),
        ("postgresql+psycopg2://host/name", "postgresql+asyncpg://host/name"),
        ("postgresql+psycopg://host/name", "postgresql+psycopg://host/name"),
        ("sqlite:///file.db", "sqlite+aiosqlite:///file.db"),
        ("sqlite+pysqlite:///file.db", "sqlite+aiosqlite:///file.db"),
        ("mysql+pymysql://host/name", "mysql+aiomysql://host/name"),
    ],
)
def test_the_driver_is_chosen_where_the_url_leaves_it_open(given: str, expected: str) -> None:
    assert str(driver_url(given)) == expected


@pytest.mark.parametrize("dialect", DRIVERS)
def test_every_dialect_keeps_the_drivers_that_can_serve(dialect: str) -> None:
    for driver in DRIVERS[dialect]:
        url = driver_url(f"{dialect}+{driver}://host/name")
        assert url.drivername == f"{dialect}+{driver}"
        assert driver_url(url) == url


def test_a_password_with_special_characters_survives() -> None:
    url = driver_url("postgresql://user:%40%3A%2F%23%25%3F%20@host:1/name?application_name=x")
    assert url.password == "@:/#%? "
    assert (url.username, url.host, url.port, url.database) == ("user", "host", 1, "name")
    assert url.query == {"application_name": "x"}
    assert "%40" not in str(url)


def test_a_user_a_password_and_a_database_in_the_query_go_where_the_password_is_hidden() -> None:
    url = driver_url("postgresql://old@host/old?user=me&password=secret%40&dbname=name&a=b")
    assert (url.username, url.password, url.database) == ("me", "secret@", "name")
    assert url.query == {"a": "b"}
    without_user = driver_url("postgresql://host/name?password=secret")
    for shown in (url, without_user):
        assert "secret" not in f"{shown} {shown!r}"
        again = driver_url(shown.render_as_string(hide_password=False))
        assert again.password == shown.password


@pytest.mark.parametrize("port", ["", ":5433"])
def test_an_encoded_folder_of_sockets_goes_into_the_query(port: str) -> None:
    url = driver_url(f"postgresql://user@%2Frun%2Fsockets{port}/name?sslmode=allow")
    assert url.host is None
    assert url.port == (5433 if port else None)
    assert url.query == {"host": "/run/sockets", "sslmode": "allow"}
    assert driver_url(url.render_as_string()) == url


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("postgresql:/host/name", "write dialect://user:password@host:port/database"),
        ("sqlite:file.db", "or sqlite:///file.db"),
        ("sqlite:/file.db", "or sqlite:///file.db"),
        ("host=localhost user=me password=secret", "write dialect://user:password@host"),
        ("DATABASE_URL=postgresql://u:secret@host/name", "write dialect://user:password@host"),
        ("jdbc:postgresql://u:secret@host/name", "write dialect://user:password@host"),
        ("https://u:secret@host/name", "'https'; use one of: .*postgresql, sqlite"),
        ("'postgresql://u:secret@host/name'", "remove the quotes and the white space around"),
        (" postgresql://u:secret@host/name\n", "remove the quotes and the white space around"),
        ("postgresql://u:p@secret@host/name", "unescaped '@' in the password .*; write %40"),
        ("postgresql://u:p@secret/word@host/name", "unescaped '@' in the password .*; write %40"),
        ("nosuchdb://host/name", "'nosuchdb'; use one of: .*postgresql, sqlite"),
        ("postgresql+nosuch://host/name", "no driver 'nosuch' for postgresql here; use one of:"),
        ("user:secret@host/name", "dialect://user:password@host:port/database"),
        ("postgresql://user:secret@host:port/name", "dialect://user:password@host:port/database"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_a_correction(
    given: str,
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        driver_url(given)
    assert "secret" not in str(raised.value)
