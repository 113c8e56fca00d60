"""Linters accept the workflows, the settings of Dependabot and compose.yaml."""

import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from .support.releases import ROOT

SCHEMAS = {
    "github-workflows": ".github/workflows/*.yml",
    "dependabot": ".github/dependabot.yml",
    "compose-spec": "compose.yaml",
}
SCRIPTS = Path(sysconfig.get_path("scripts"))
VARIANTS = ("async-postgresql-fastapi", "sync-sqlite")


def test_the_workflows_are_secure(rendered: Mapping[str, Path]) -> None:
    folders = [folder / ".github" for folder in (ROOT, *(rendered[name] for name in VARIANTS))]
    subprocess.run(
        [SCRIPTS / "zizmor", "--offline", "--quiet", "--strict-collection", *folders], check=True
    )


@pytest.mark.parametrize("schema", SCHEMAS)
def test_configuration_files_follow_their_schemas(
    schema: str, rendered: Mapping[str, Path]
) -> None:
    folders = (ROOT, *(rendered[name] for name in VARIANTS))
    files = [path for folder in folders for path in folder.glob(SCHEMAS[schema])]
    assert files
    option = f"--builtin-schema=vendor.{schema}"
    subprocess.run([SCRIPTS / "check-jsonschema", option, *files], check=True)
