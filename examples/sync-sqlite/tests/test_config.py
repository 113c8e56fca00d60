from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import NullPool, QueuePool

from my_service.config import Settings
from my_service.database import Base, manager_from_config
from my_service.db import Base as LayerBase

URL = "sqlite:///name"


def test_database_url_is_the_short_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("DATABASE__SQLALCHEMY__POOL_SIZE", "7")
    sqlalchemy = Settings().database.sqlalchemy
    assert (sqlalchemy.url, sqlalchemy.pool_size) == (URL, 7)


def test_what_is_given_in_code_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    settings = Settings.model_validate({"database": {"sqlalchemy": {"url": "sqlite://"}}})
    assert settings.database.sqlalchemy.url == "sqlite://"


def test_an_empty_database_url_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    with pytest.raises(ValidationError, match="database_url"):
        Settings()


def test_settings_are_read_from_a_file() -> None:
    Path(".env").write_text(f"DATABASE_URL={URL}\n")
    assert Settings().database.sqlalchemy.url == URL


def test_passwords_are_shown_neither_by_settings_nor_by_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:secret@host/name")
    settings = Settings()
    assert "secret" in settings.database.sqlalchemy.url
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings)
    monkeypatch.setenv("DATABASE__SQLALCHEMY__URL", "postgresql://user:secret@host/name")
    monkeypatch.setenv("DATABASE__SQLALCHEMY__POOL_SIZE", "many")
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert "secret" not in str(raised.value)
    with pytest.raises(ValidationError) as raised:
        manager_from_config({"sqlalchemy": "postgresql://user:secret@host/name"})
    assert "secret" not in str(raised.value)


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


def test_a_mapping_is_left_as_it_is_and_may_hold_any_engine_argument() -> None:
    config = {"sqlalchemy": {"url": URL, "poolclass": NullPool, "echo": True}}
    before = {"sqlalchemy": dict(config["sqlalchemy"])}
    manager = manager_from_config(config)
    assert isinstance(manager.engine.pool, NullPool)
    assert manager.engine.echo is True
    assert config == before


def test_a_pool_of_ones_own_gets_the_settings_that_it_knows() -> None:
    config = {"sqlalchemy": {"url": URL, "poolclass": NullPool}}
    for given in (config, Settings.model_validate({"database": config})):
        assert isinstance(manager_from_config(given).engine.pool, NullPool)
    config = {"sqlalchemy": {"url": URL, "poolclass": QueuePool}}
    pool = manager_from_config(config).engine.pool
    assert isinstance(pool, QueuePool)
    assert pool.timeout() == 5
    with pytest.raises(TypeError, match="pool_size"):
        manager_from_config({"sqlalchemy": {"url": URL, "poolclass": NullPool, "pool_size": 7}})


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(ValidationError, match="sqlalchmey"):
        manager_from_config({"sqlalchmey": {"url": URL}})


def test_base_is_that_of_the_layer() -> None:
    assert Base is LayerBase
