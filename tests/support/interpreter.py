"""This Python, or a copy of it that any user may run."""

import compileall
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

# What Patroni imports.
PACKAGES = (
    *("click", "cryptography", "dateutil", "patroni", "prettytable", "psutil", "psycopg"),
    *("psycopg_binary", "psycopg_binary.libs", "pysyncobj", "six.py", "typing_extensions.py"),
    *("urllib3", "wcwidth", "yaml", "_yaml", "ydiff.py"),
)


def unpack_python(folder: Path) -> None:
    """Copy this Python, and the packages that Patroni needs, to where any user may run them."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    ignored = shutil.ignore_patterns("test", "idlelib", "ensurepip", "site-packages", "config-*")
    shutil.copytree(stdlib, folder / "lib" / stdlib.name, ignore=ignored)
    for library in Path(sys.base_prefix, "lib").glob("libpython*"):
        shutil.copy(library, folder / "lib")
    packages = folder / "lib" / stdlib.name / "site-packages"
    packages.mkdir()
    for source in Path(sysconfig.get_path("purelib")).iterdir():
        if source.name.split("-")[0] not in PACKAGES:
            continue
        if source.is_dir():
            shutil.copytree(source, packages / source.name)
        else:
            shutil.copy(source, packages)
    # Whoever runs it may write none.
    compileall.compile_dir(packages, quiet=2)
    (folder / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), folder / "bin/python")


def may_run_python(folder: Path, account: dict[str, Any]) -> bool:
    """Tell whether a user, as `subprocess` takes one, may run this Python as it is."""
    try:
        command = [sys.executable, "-c", "import patroni"]
        return subprocess.run(command, cwd=folder, **account).returncode == 0
    except PermissionError:
        return False
