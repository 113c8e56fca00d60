import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from my_service import database

PACKAGE = "my_service"
ROOMS = {"cli", "config", "database", "models"}
CODE = f"""
import sys, {PACKAGE}.db
print(*sys.modules)
from {PACKAGE}.database import Base
print(*Base.metadata.tables)
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The output of the code in a new process, for a copy of the package with more models."""
    folder = tmp_path_factory.mktemp("copy")
    copy = folder / PACKAGE
    shutil.copytree(Path(str(database.__file__)).parent, copy)
    for name in ("layer_test_billing/models.py", "layer_test_stock/models/shelf.py"):
        path = copy / name
        path.parent.mkdir(parents=True)
        path.write_text(
            f"from sqlalchemy.orm import Mapped, mapped_column\n\n"
            f"from {PACKAGE}.db import Base\n\n\n"
            f"class LayerTest{path.stem.title()}(Base):\n"
            f"    __tablename__ = 'layer_test_{path.stem}'\n\n"
            f"    id: Mapped[int] = mapped_column(primary_key=True)\n"
        )
    environment = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", CODE]
    output = subprocess.check_output(command, text=True, env=environment)
    return [line.split() for line in output.splitlines()]


def test_the_database_layer_imports_nothing_else_of_the_package(printed: list[list[str]]) -> None:
    imported = set(printed[0])
    assert f"{PACKAGE}.db" in imported
    assert not {f"{PACKAGE}.{room}" for room in ROOMS} & imported


def test_every_module_of_models_is_found(printed: list[list[str]]) -> None:
    assert {"layer_test_models", "layer_test_shelf"} <= set(printed[1])
