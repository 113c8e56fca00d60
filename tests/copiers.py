"""What Copier asks for again and again, answered once in a process.

An update clones the template four times, renders it three times, and compiles each file for each.
A commit does not change: what is read from it is kept. What Copier does in a project stays as it is.
"""

import tempfile
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from copier._main import Worker
from copier._template import Template
from copier._vcs import clone
from jinja2 import Environment

from .releases import git

# What Copier reads from a clone, and what nothing else has a part in.
READ = ("_raw_config", "commit", "commit_hash", "git_index_modes", "version")


class Clones:
    """Clones of templates, one for each commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[tuple[str, str], str] = {}

    def clone(self, url: str, ref: str = "HEAD", location: str | None = None) -> str:
        # A clone of HEAD has what is not committed, too.
        if ref == "HEAD" or not Path(url).is_dir():
            return clone(url, ref, location)
        key = (url, git(Path(url), "rev-parse", f"{ref}^{{commit}}"))
        if key not in self.made:
            self.made[key] = clone(url, ref, tempfile.mkdtemp(dir=self.folder))
        return self.made[key]

    def kept(self, read: Callable[[Template], Any]) -> Callable[[Template], Any]:
        """Let a property of templates be read once from a clone."""
        found: dict[Path, Any] = {}

        def get(template: Template) -> Any:
            path = template.local_abspath
            if not path.is_relative_to(self.folder):
                return read(template)
            if path not in found:
                found[path] = read(template)
            return found[path]

        return get


@cache
def compiled(extensions: tuple[bytes, ...], options: str) -> dict[Any, Any]:
    """Return what texts have been compiled to, with these extensions and options."""
    return {}


def remember(call: Callable[..., Any], results: dict[Any, Any]) -> Callable[..., Any]:
    def get(*given: Any) -> Any:
        key = (call.__name__, *given)
        if key not in results:
            results[key] = call(*given)
        return results[key]

    return get


def compiling_once(make: Callable[[Worker], Environment]) -> Callable[[Worker], Environment]:
    """Let environments share what they compile, and the sync code that they derive."""

    def get(worker: Worker) -> Environment:
        environment = make(worker)
        files = sorted(worker.template.local_abspath.glob("extensions/*.py"))
        extensions = tuple(path.read_bytes() for path in files)
        results = compiled(extensions, repr(sorted(worker.template.envops.items())))
        environment.compile = remember(environment.compile, results)  # type: ignore[method-assign]
        environment.filters["for_io"] = remember(environment.filters["for_io"], results)
        return environment

    return get


def replace(patch: pytest.MonkeyPatch, owner: type, name: str, wrap: Callable[..., Any]) -> None:
    """Put another function into a cached property."""
    new = cached_property(wrap(owner.__dict__[name].func))
    new.__set_name__(owner, name)
    patch.setattr(owner, name, new)


def read_once(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keep clones in a folder, and what is read from them and compiled in memory."""
    clones = Clones(folder)
    patch.setattr("copier._template.clone", clones.clone)
    for name in READ:
        replace(patch, Template, name, clones.kept)
    replace(patch, Worker, "jinja_env", compiling_once)
    # Copier asks Git for `core.fileMode` once for each file that it writes, for the sake of
    # Windows; here, the answer makes no difference.
    patch.setattr(Worker, "_sync_git_index_executable_bit", lambda *given: None, raising=False)
