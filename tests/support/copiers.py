"""Caches for Copier, shared by all updates of a process.

An update clones the template four times, renders it three times, and compiles all files for each.
What Copier reads from a commit is cached, because a commit does not change. What Copier does in a
project is not cached.
"""

import tempfile
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from copier._main import Worker
from copier._template import Template
from copier._vcs import clone, is_git_repo_root
from jinja2 import Environment

from .releases import git

# Renders a project with the answers that it is called with, and returns its folder.
Render = Callable[..., Path]
# Properties that depend on the clone only.
CLONE_PROPERTIES = ("_raw_config", "commit", "commit_hash", "git_index_modes", "version")


class Clones:
    """One clone of a template for each commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[tuple[str, str], str] = {}

    def clone(self, url: str, ref: str = "HEAD", location: str | None = None) -> str:
        # A clone of HEAD has uncommitted changes, too.
        if ref == "HEAD" or not Path(url).is_dir():
            return clone(url, ref, location)
        # Read, because Git would be started for it five times in an update.
        tag = Path(url, ".git/refs/tags", ref)
        commit = tag.read_text() if tag.is_file() else git(Path(url), "rev-parse", f"{ref}^{{}}")
        key = (url, commit)
        if key not in self.made:
            self.made[key] = clone(url, ref, tempfile.mkdtemp(dir=self.folder))
        return self.made[key]

    def cached(self, read: Callable[[Template], Any]) -> Callable[[Template], Any]:
        """Read a property of templates once from each clone."""
        values: dict[Path, Any] = {}

        def get(template: Template) -> Any:
            path = template.local_abspath
            if not path.is_relative_to(self.folder):
                return read(template)
            if path not in values:
                values[path] = read(template)
            return values[path]

        return get


@cache
def compiled(extensions: tuple[bytes, ...], options: str) -> dict[Any, Any]:
    """Return the cache of compiled code for these extensions and options."""
    return {}


def remember(call: Callable[..., Any], results: dict[Any, Any]) -> Callable[..., Any]:
    def get(*given: Any) -> Any:
        key = (call.__name__, *given)
        if key not in results:
            results[key] = call(*given)
        return results[key]

    return get


def share_compiled(make: Callable[[Worker], Environment]) -> Callable[[Worker], Environment]:
    """Share compiled code and derived sync code between environments."""

    def get(worker: Worker) -> Environment:
        environment = make(worker)
        files = sorted(worker.template.local_abspath.glob("extensions/*.py"))
        extensions = tuple(path.read_bytes() for path in files)
        results = compiled(extensions, repr(sorted(worker.template.envops.items())))
        environment.compile = remember(environment.compile, results)  # type: ignore[method-assign]
        environment.filters["for_io"] = remember(environment.filters["for_io"], results)
        return environment

    return get


def in_one_context(render: Callable[[Worker], None]) -> Callable[[Worker], None]:
    """Build the context of templates once for all files, and not for each part of each path.

    No answer changes while files are rendered.
    """

    def get(worker: Worker) -> None:
        known = {"context": worker._render_context(), "path": worker.answers_relpath}
        KNOWN[id(worker)] = known
        try:
            render(worker)
        finally:
            del KNOWN[id(worker)]

    return get


# By the identity of the worker, while it renders files.
KNOWN: dict[int, dict[str, Any]] = {}


def known(name: str, find: Callable[[Worker], Any]) -> Callable[[Worker], Any]:
    def get(worker: Worker) -> Any:
        found = KNOWN.get(id(worker))
        return found[name] if found else find(worker)

    return get


def is_repository(path: str | Path) -> bool:
    """Return whether a folder is the root of a repository, without Git where that is obvious."""
    return Path(path, ".git/HEAD").is_file() or is_git_repo_root(path)


def replace(patch: pytest.MonkeyPatch, owner: type, name: str, wrap: Callable[..., Any]) -> None:
    """Replace the function of a cached property."""
    new = cached_property(wrap(owner.__dict__[name].func))
    new.__set_name__(owner, name)
    patch.setattr(owner, name, new)


def read_once(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Cache clones in a folder, and in memory what is read from them and compiled."""
    clones = Clones(folder)
    patch.setattr("copier._template.clone", clones.clone)
    patch.setattr("copier._vcs.is_git_repo_root", is_repository)
    for name in CLONE_PROPERTIES:
        replace(patch, Template, name, clones.cached)
    replace(patch, Worker, "jinja_env", share_compiled)
    path = Worker.__dict__["answers_relpath"].fget
    patch.setattr(Worker, "answers_relpath", property(known("path", path)))
    patch.setattr(Worker, "_render_context", known("context", Worker._render_context))
    patch.setattr(Worker, "_render_template", in_one_context(Worker._render_template))
    # Copier runs Git for `core.fileMode` once for each written file. It matters on Windows only.
    patch.setattr(Worker, "_sync_git_index_executable_bit", lambda *given: None, raising=False)
