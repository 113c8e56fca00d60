"""Make the pictures: `uv run --group pictures python -m docs.pictures`.

Needs the network to install the service's dependencies, port 8000, and Chromium for the API's page.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import yaml

from .terminal import Answer, Recorder

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
URL = "http://127.0.0.1:8000"
COPY = "uvx --with copier-template-extensions copier copy --trust"
# What is typed, where the default is not taken.
TYPED = {
    "project_name": "Orders",
    "description": "Orders of the shop",
    "author_name": "Ada Lovelace",
    "author_email": "ada@example.org",
}
ERASE_LINE = "\x15"


def answers() -> list[Answer]:
    """Return an answer for each question of copier.yml."""
    questions = yaml.safe_load((ROOT / "copier.yml").read_text())
    asked = {name: question for name, question in questions.items() if "help" in question}
    keys = {name: f"{ERASE_LINE}{text}\r" for name, text in TYPED.items()}
    # A long question is wrapped.
    return [Answer(asked[name]["help"][:40], keys.get(name, "\r")) for name in asked]


def tag_next_version(clone: Path) -> None:
    """Let Copier print the version that the changelog begins with, not a number of commits."""
    [version] = re.findall(
        r"\A.*?^## (?:Unreleased: )?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.M | re.S
    )
    subprocess.run(["git", "tag", "--force", f"v{version}"], cwd=clone, check=True)


def render(home: Path) -> None:
    """Clone the template into a home folder, and record how a service is rendered from it."""
    clone = home / "copier-sqlalchemy-service"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    tag_next_version(clone)
    recorder = Recorder(home)
    recorder.run(
        f"{COPY} {clone} orders",
        shown=f"{COPY} ~/copier-sqlalchemy-service orders",
        answers=answers(),
    )
    recorder.shorten(r"^ +create ", 3)
    recorder.draw(HERE / "copy.svg", "copier copy")


def serve(home: Path) -> None:
    """Record what `dev` prints while it answers requests."""
    project = home / "orders"
    subprocess.run(["uv", "sync", "--quiet"], cwd=project, check=True)
    recorder = Recorder(home)
    with requests(project):
        recorder.run("cd orders && uv run orders dev", until=r"GET /users/1 200 [\d.]+ ms")
    recorder.draw(HERE / "dev.svg", "orders dev")


def send() -> None:
    """Send the requests that the pictures show, once the service is ready."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urlopen(f"{URL}/readyz", timeout=5).close()
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    body = json.dumps({"name": "ada", "full_name": "Ada Lovelace"}).encode()
    headers = {"Content-Type": "application/json"}
    urlopen(Request(f"{URL}/users", body, headers), timeout=5).close()
    urlopen(f"{URL}/users/1", timeout=5).close()


@contextmanager
def requests(project: Path) -> Iterator[None]:
    """Send requests from another process meanwhile."""
    with socket.create_server(("127.0.0.1", 8000)):
        pass
    command = [sys.executable, "-c", "from docs.pictures.__main__ import send; send()"]
    with subprocess.Popen(command, cwd=ROOT) as sender:
        yield
    if sender.returncode:
        raise RuntimeError(f"the service of {project} did not answer")


def show_api(home: Path) -> None:
    """Take a picture of the API's page, without the network."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise RuntimeError("install Chromium to make the picture of the API's page")
    command = ["uv", "run", "--quiet", "orders", "dev"]
    with subprocess.Popen(command, cwd=home / "orders") as server:
        try:
            deadline = time.monotonic() + 60
            while socket.socket().connect_ex(("127.0.0.1", 8000)):
                if time.monotonic() > deadline:
                    raise RuntimeError("the service did not start")
                time.sleep(0.2)
            screenshot(chromium, f"{URL}/docs", HERE / "api.png", "1100,690")
        finally:
            server.terminate()


def screenshot(chromium: str, url: str, path: Path, size: str) -> None:
    """Take a picture of a page; every other host is unreachable."""
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--virtual-time-budget=8000",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--window-size={size}",
        f"--screenshot={path}",
    ]
    subprocess.run([chromium, *options, url], check=True, capture_output=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        render(home)
        serve(home)
        show_api(home)
