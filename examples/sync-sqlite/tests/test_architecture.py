import subprocess
import sys

import pytest

PACKAGE = "my_service"


@pytest.mark.parametrize("room", ["config", "database", "models", "cli"])
def test_the_database_layer_knows_nothing_of_the_rest(room: str) -> None:
    code = f"import sys, {PACKAGE}.db; sys.exit('{PACKAGE}.{room}' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_models_reach_the_metadata_without_being_imported_by_hand() -> None:
    code = f"from {PACKAGE}.database import Base; assert Base.metadata.tables"
    subprocess.run([sys.executable, "-c", code], check=True)
