from pathlib import Path

import pytest
from pydantic import AnyUrl, BaseModel, PostgresDsn, ValidationError
from sqlalchemy import AsyncAdaptedQueuePool, NullPool, engine, text

from my_service.config import Settings
from my_service.database import Base, manager_from_config
from my_service.db import Base as LayerBase

URL = "postgresql://host/name"
REPLICA = "postgresql://other/replica"


def test_database_url_is_short_for_the_nested_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DATABASE__SQLALCHEMY__POOL_SIZE", "7")
    sqlalchemy = Settings().database.sqlalchemy
    assert (sqlalchemy.url, sqlalchemy.pool_size) == (URL, 7)


def test_values_in_code_beat_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    settings = Settings.model_validate({"database": {"sqlalchemy": {"url": "sqlite://"}}})
    assert settings.database.sqlalchemy.url == "sqlite://"


def test_read_sessions_go_to_the_database_unless_there_is_a_url_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    assert manager_from_config(Settings()).read_engine.url.database == "name"
    monkeypatch.setenv("DATABASE_READ_URL", REPLICA)
    manager = manager_from_config(Settings())
    assert (manager.engine.url.database, manager.read_engine.url.database) == ("name", "replica")


@pytest.mark.parametrize("name", ["URL", "READ_URL"])
def test_the_nested_setting_beats_the_short_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"DATABASE_{name}", URL)
    monkeypatch.setenv(f"DATABASE__SQLALCHEMY__{name}", REPLICA)
    assert getattr(Settings().database.sqlalchemy, name.lower()) == REPLICA


@pytest.mark.parametrize("name", ["DATABASE_URL", "DATABASE_READ_URL"])
def test_an_empty_url_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    with pytest.raises(ValidationError, match=name.lower()):
        Settings()


def test_each_of_the_two_pools_has_the_sizes_of_the_settings() -> None:
    manager = manager_from_config({"sqlalchemy": {"url": URL, "pool_size": 7}})
    for pool in (manager.engine.pool, manager.read_engine.pool):
        assert isinstance(pool, AsyncAdaptedQueuePool)
        assert pool.size() == 7


def test_a_negative_time_before_a_connection_is_tested_is_an_error_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE__SQLALCHEMY__PRE_PING_AFTER", "-1")
    with pytest.raises(ValidationError, match="pre_ping_after"):
        Settings()


def test_settings_are_read_from_a_file() -> None:
    Path(".env").write_text(f"DATABASE_URL={URL}\n")
    assert Settings().database.sqlalchemy.url == URL


def test_passwords_are_shown_neither_by_settings_nor_by_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DATABASE_URL", "DATABASE_READ_URL"):
        monkeypatch.setenv(name, "postgresql://user:layer-test-secret@host/name")
    settings = Settings()
    sqlalchemy = settings.database.sqlalchemy
    assert sqlalchemy.url == sqlalchemy.read_url == "postgresql://user:layer-test-secret@host/name"
    assert "layer-test-secret" not in repr(settings)
    assert "layer-test-secret" not in str(settings)
    monkeypatch.setenv("DATABASE__SQLALCHEMY__URL", "postgresql://user:layer-test-secret@host/name")
    monkeypatch.setenv("DATABASE__SQLALCHEMY__POOL_SIZE", "many")
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert "layer-test-secret" not in str(raised.value)
    with pytest.raises(ValidationError) as raised:
        manager_from_config({"sqlalchemy": "postgresql://user:layer-test-secret@host/name"})
    assert "layer-test-secret" not in str(raised.value)


def test_a_manager_is_built_from_settings_a_part_of_them_or_a_mapping() -> None:
    settings = Settings.model_validate({"database": {"sqlalchemy": {"url": URL}}})
    for config in (
        settings,
        settings.database,
        settings.model_dump(),
        settings.database.model_dump(),
        {"sqlalchemy": {"url": URL}},
    ):
        manager = manager_from_config(config)
        assert manager.engine.url.database == "name"
        assert manager.metadata is Base.metadata


def test_a_mapping_is_not_changed_and_may_have_any_engine_argument() -> None:
    config = {"sqlalchemy": {"url": URL, "poolclass": NullPool, "echo": True}}
    before = {"sqlalchemy": dict(config["sqlalchemy"])}
    manager = manager_from_config(config)
    assert isinstance(manager.engine.pool, NullPool)
    assert manager.engine.echo is True
    assert config == before


def test_another_pool_gets_the_settings_that_it_accepts() -> None:
    config = {"sqlalchemy": {"url": URL, "poolclass": NullPool}}
    for given in (config, Settings.model_validate({"database": config})):
        assert isinstance(manager_from_config(given).engine.pool, NullPool)
    config = {"sqlalchemy": {"url": URL, "poolclass": AsyncAdaptedQueuePool}}
    pool = manager_from_config(config).engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    assert pool.timeout() == 5
    with pytest.raises(ValueError, match="pool_size"):
        manager_from_config({"sqlalchemy": {"url": URL, "poolclass": NullPool, "pool_size": 7}})


async def test_time_limits_and_the_name_stay_with_a_pool_of_ones_own(
    empty_url: engine.URL,
) -> None:
    url = empty_url.render_as_string(hide_password=False)
    config = {"sqlalchemy": {"url": url, "poolclass": NullPool}}
    async with manager_from_config(config) as manager, manager.Session() as session:
        for name, value in (
            ("application_name", "my-service"),
            ("statement_timeout", "30s"),
            ("idle_in_transaction_session_timeout", "1min"),
        ):
            shown = await session.scalars(text(f"SHOW {name}"))
            assert shown.one() == value


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(ValidationError, match="sqlalchmey"):
        manager_from_config({"sqlalchmey": {"url": URL}})


def test_a_misspelt_engine_argument_is_an_error_that_has_the_right_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE__SQLALCHEMY__POLL_SIZE", "7")
    with pytest.raises(ValueError, match=r"did you mean pool_size\?.*'poll_size'"):
        manager_from_config(Settings())


@pytest.mark.parametrize("name", ["DATABASE__URL", "DATABASE__SQLALCHEMY_URL", "DATABASE__ALEMBIK"])
def test_a_misspelt_section_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, URL)
    with pytest.raises(ValidationError, match=name.partition("__")[2].lower()):
        Settings()


def test_urls_of_pydantic_are_accepted_in_mappings_and_models() -> None:
    class SQLAlchemy(BaseModel):
        url: AnyUrl = AnyUrl(URL)
        read_url: AnyUrl = AnyUrl(REPLICA)

    class Service(BaseModel):
        sqlalchemy: SQLAlchemy = SQLAlchemy()

    for config in (Service(), {"database": Service().model_dump()}):
        manager = manager_from_config(config)
        assert manager.engine.url.database == "name"
        assert manager.read_engine.url.database == "replica"
    dsn = PostgresDsn("postgresql://user:p%40@host/name")
    settings = Settings.model_validate({"database": {"sqlalchemy": {"url": dsn}}})
    assert settings.database.sqlalchemy.url == "postgresql://user:p%40@host/name"


@pytest.mark.parametrize("level", ["debug", "Info", "WARNING"])
def test_the_log_level_may_be_written_in_any_case(
    monkeypatch: pytest.MonkeyPatch,
    level: str,
) -> None:
    monkeypatch.setenv("LOG_LEVEL", level)
    assert Settings().log_level == level.upper()


def test_an_unknown_log_level_is_an_error_that_lists_the_known_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(ValidationError, match=r"use one of .*INFO, DEBUG"):
        Settings()


def test_base_is_that_of_the_layer() -> None:
    assert Base is LayerBase
