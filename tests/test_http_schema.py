"""Responses to generated requests match the OpenAPI schema."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from .support.run import is_full
from .support.serving import serving

pytestmark = pytest.mark.slow

VARIANTS = (
    "async-postgresql-fastapi",
    "sync-postgresql-fastapi",
    "async-sqlite-fastapi",
    "sync-sqlite-fastapi",
)
# Starlette's `Allow` header names the methods of the first path operation only.
EXCLUDED = "allow_header_conformance"
HOOKS = str(Path(__file__).parent / "probes/blank_names.py")


@pytest.mark.parametrize("variant", VARIANTS if is_full() else VARIANTS[1:3])
def test_every_response_is_declared(
    rendered: Mapping[str, Path], postgres: str, tmp_path: Path, variant: str
) -> None:
    project = rendered[variant]
    is_sqlite = "sqlite" in variant
    settings = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/service.db" if is_sqlite else postgres,
        "LOG_LEVEL": "WARNING",
    }
    with serving(project, tmp_path, **settings) as server:
        server.sync(project, **settings)
        result = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run"),
                f"http://127.0.0.1:{server.port}/openapi.json",
                *("--checks", "all", "--exclude-checks", EXCLUDED, "--continue-on-failure"),
                *("--max-examples", "300" if is_full() else "15", "--generation-database", "none"),
                *("--no-color", "--no-shrink"),
                # The same requests in each run, except where new ones are looked for.
                *(() if is_full() else ("--seed", "1")),
                *("--include-path-regex", "^/(users|livez|readyz)"),
            ],
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": HOOKS},
            capture_output=True,
            text=True,
        )
    assert result.returncode == 0, result.stdout[-5000:]
    [count] = re.findall(r"(\d+) generated", result.stdout)
    assert int(count) >= (1000 if is_full() else 100)
    assert "Traceback" not in (tmp_path / "log").read_text()
