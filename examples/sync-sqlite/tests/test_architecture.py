import os
import shutil
import subprocess
import sys
from pathlib import Path

from my_service import database

PACKAGE = "my_service"
ROOMS = {"cli", "config", "database", "models"}


def test_the_database_layer_knows_nothing_of_the_rest() -> None:
    code = f"import sys, {PACKAGE}.db; print(*sys.modules)"
    imported = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert f"{PACKAGE}.db" in imported
    assert not {f"{PACKAGE}.{room}" for room in ROOMS} & set(imported)


def test_every_module_of_models_is_found(tmp_path: Path) -> None:
    package = Path(str(database.__file__)).parent
    copy = tmp_path / PACKAGE
    shutil.copytree(package, copy)
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
    code = f"from {PACKAGE}.database import Base; print(*Base.metadata.tables)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert {"layer_test_models", "layer_test_shelf"} <= set(result.stdout.split())
