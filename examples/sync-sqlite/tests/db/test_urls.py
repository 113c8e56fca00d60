import pytest

from my_service.db.urls import DRIVERS, driver_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://host/name", "postgresql+psycopg://host/name"),
        ("postgres://host/name", "postgresql+psycopg://host/name"),
        ("postgresql+asyncpg://host/name", "postgresql+psycopg://host/name"),
        ("postgresql+psycopg2://host/name", "postgresql+psycopg2://host/name"),
        ("sqlite:///file.db", "sqlite+pysqlite:///file.db"),
        ("sqlite+aiosqlite:///file.db", "sqlite+pysqlite:///file.db"),
        ("mysql+aiomysql://host/name", "mysql+pymysql://host/name"),
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
