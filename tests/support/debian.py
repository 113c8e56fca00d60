"""Programs of Debian's packages, for tests: no privileges and no work by hand are needed."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

MISSING = (
    "{0} is missing. It comes by itself where there is apt-get; elsewhere, install it"
    " (`brew install {0}`)."
)


def unpack(folder: Path, program: str, *libraries: str) -> None:
    """Copy a program of this machine, or else of the Debian package of that name, into a new folder.

    `libraries` are the beginnings of the names of the packages that it needs and that may be missing.
    """
    folder.mkdir()
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    installed = shutil.which(program, path=path)
    if installed:
        shutil.copy(installed, folder / program)
        return
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    # The lists of this machine may be empty or old, and only root could renew them.
    options = {
        "Dir::State": folder / "state",
        "Dir::State::status": "/var/lib/dpkg/status",
        "Dir::Cache": folder / "cache",
    }
    arguments = ["-qq", *(f"-o{name}={value}" for name, value in options.items())]
    missing = MISSING.format(program)
    try:
        _run(missing, folder, "apt-get", *arguments, "update")
        depends = ["depends", "--important", "--recurse", program]
        found = _run(missing, folder, "apt-cache", *arguments, *depends)
        # The names of libraries end in their versions, which differ from release to release.
        wanted = {word for word in found.split() if word.startswith(libraries)}
        _run(missing, folder, "apt-get", *arguments, "download", program, *sorted(wanted))
        for package in folder.glob("*.deb"):
            _run(missing, folder, "dpkg", "-x", str(package), str(folder / "unpacked"))
    except FileNotFoundError as error:
        raise RuntimeError(missing) from error
    for file in (folder / "unpacked").rglob("*"):
        if file.name == program and file.parent.name in ("bin", "sbin"):
            shutil.copy(file, folder)
        elif ".so." in file.name:
            shutil.copy(file, folder, follow_symlinks=True)


def wait_for_port(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"it did not start ({process.poll()}): {log.read_text()}"
                ) from None
            time.sleep(0.02)
        else:
            return


def _run(missing: str, folder: Path, *command: str) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{missing} {' '.join(command)}: {result.stderr}")
    return result.stdout
