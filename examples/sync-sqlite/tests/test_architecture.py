import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from my_service import database

PACKAGE = "my_service"


@pytest.mark.parametrize("room", ["cli", "config", "database", "models"])
def test_the_database_layer_knows_nothing_of_the_rest(room: str) -> None:
    code = f"import sys, {PACKAGE}.db; sys.exit('{PACKAGE}.{room}' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_module_of_models_is_found(tmp_path: Path) -> None:
    package = Path(str(database.__file__)).parent
    copy = tmp_path / PACKAGE
    shutil.copytree(package, copy)
    for name in ("billing/models.py", "stock/models/shelf.py"):
        path = copy / name
        path.parent.mkdir(parents=True)
        path.write_text(
            f"from sqlalchemy.orm import Mapped, mapped_column\n\n"
            f"from {PACKAGE}.db import Base\n\n\n"
            f"class {path.stem.title()}(Base):\n"
            f"    __tablename__ = 'new_{path.stem}'\n\n"
            f"    id: Mapped[int] = mapped_column(primary_key=True)\n"
        )
    code = f"from {PACKAGE}.database import Base; print(*Base.metadata.tables)"
    environment = {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert {"new_models", "new_shelf"} <= set(result.stdout.split())


def test_models_reach_the_metadata_without_being_imported_by_hand() -> None:
    code = f"from {PACKAGE}.database import Base; assert Base.metadata.tables"
    subprocess.run([sys.executable, "-c", code], check=True)
