import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest

from my_service import database

PACKAGE = "my_service"
ROOMS = {"cli", "config", "database", "models"}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the package with more models, which the next import finds."""
    folder = shutil.copytree(Path(str(database.__file__)).parent, tmp_path / PACKAGE)
    for name in ("layer_test_billing/models.py", "layer_test_stock/models/shelf.py"):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(
            f"from sqlalchemy.orm import Mapped, mapped_column\n\n"
            f"from {PACKAGE}.db import Base\n\n\n"
            f"class LayerTest{path.stem.title()}(Base):\n"
            f"    __tablename__ = 'layer_test_{path.stem}'\n\n"
            f"    id: Mapped[int] = mapped_column(primary_key=True)\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.usefixtures("copy")
def test_the_database_layer_imports_nothing_else_of_the_package() -> None:
    import_module(f"{PACKAGE}.db")
    assert not {f"{PACKAGE}.{room}" for room in ROOMS} & sys.modules.keys()


@pytest.mark.usefixtures("copy")
def test_every_module_of_models_is_found() -> None:
    found = import_module(f"{PACKAGE}.database").Base.metadata.tables
    assert {"layer_test_models", "layer_test_shelf"} <= found.keys()
