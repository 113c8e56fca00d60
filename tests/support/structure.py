"""What a rendered project says, apart from how its files quote and escape it."""

import ast
import re
import sys
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from itertools import zip_longest
from keyword import iskeyword
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from unittest.mock import patch

import yaml
from copier import run_copy
from hatchling.metadata.core import ProjectMetadata
from hatchling.metadata.spec import DEFAULT_METADATA_VERSION, get_core_metadata_constructors
from hatchling.plugin.manager import PluginManager
from packaging.metadata import Metadata

from .releases import copy_working_tree

# Harmless answers that occur nowhere else: where one stands, another answer has to stand as well.
PLACEHOLDERS = {
    "project_name": "Placeholder Project",
    "distribution_name": "Placeholder.Distribution",
    "package_name": "placeholder_package",
    "description": "Placeholder for a description",
    "author_name": "Placeholder for an author",
    "author_email": "placeholder@mail.example",
}
SLUG = "placeholder-distribution"
ANY = re.compile("|".join(map(re.escape, (*PLACEHOLDERS.values(), SLUG))))


# Files and folders that tools create in a project.
OF_TOOLS = {".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "__pycache__", "uv.lock"}


def rendered_files(folder: Path) -> list[Path]:
    """Return the rendered files of a project, without those of tools."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in paths if not OF_TOOLS & set(path.relative_to(folder).parts)]


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, by their paths."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def parsed(path: str, content: bytes) -> Any:
    """Return what a file means to its reader; of other files, the lines."""
    text = content.decode()
    match Path(path).suffix:
        case ".py":
            return ast.parse(text)
        case ".toml":
            return tomllib.loads(text)
        case ".yml" | ".yaml":
            documents = list(yaml.safe_load_all(text))
            return documents[0] if len(documents) == 1 else documents
    return text.split("\n")


def leaves(tree: Any, place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Flatten a tree: what stands where, and of which type it is."""
    branches: dict[str, Any] = {}
    if isinstance(tree, ast.AST):
        branches = dict(ast.iter_fields(tree))
    elif isinstance(tree, dict):
        branches = {repr(key): tree[key] for key in sorted(tree, key=repr)}
    elif isinstance(tree, list):
        branches = {str(index): branch for index, branch in enumerate(tree)}
    if not branches:
        yield place, type(tree).__name__, None if isinstance(tree, ast.AST) else tree
        return
    yield place, type(tree).__name__, len(branches)
    for key, branch in branches.items():
        yield from leaves(branch, f"{place}/{key}")


def is_name(text: str) -> bool:
    """Return whether Python reads a text as a name wherever it reads a placeholder as one."""
    return text.isascii() and text.isidentifier() and not iskeyword(text)


class Baseline:
    """A project that was rendered with placeholders."""

    def __init__(self, folder: Path) -> None:
        self.files = contents(folder)
        self.varying = {
            path for path, content in self.files.items() if ANY.search(content.decode())
        }
        self.leaves: dict[str, list[tuple[Any, bool]]] = {}

    def expected(self, path: str) -> list[tuple[Any, bool]]:
        """Return each leaf of a file, and whether it has a placeholder."""
        if path not in self.leaves:
            found = leaves(parsed(path, self.files[path]))
            self.leaves[path] = [(leaf, bool(ANY.search(str(leaf)))) for leaf in found]
        return self.leaves[path]

    def has_names_only(self, path: str, content: bytes, values: dict[str, str]) -> bool:
        """Return whether a file is Python whose placeholders have become other names, unchanged.

        Then it needs no parsing, which takes most of the time of these tests.
        """
        text = self.files[path].decode()
        names = {values[found] for found in ANY.findall(text)}
        return (
            path.endswith(".py")
            and all(map(is_name, names))
            and content.decode() == ANY.sub(lambda match: values[match[0]], text)
        )

    def differences(self, project: Path, answers: dict[str, Any]) -> Iterator[str]:
        """Tell what is different in a project, other than answers in place of placeholders."""
        files = contents(project)
        values = {text: answers[name] for name, text in PLACEHOLDERS.items()}
        values[SLUG] = re.sub(r"[^a-z0-9]+", "-", answers["distribution_name"].lower())

        def filled(value: Any) -> Any:
            return (
                ANY.sub(lambda match: values[match[0]], value) if isinstance(value, str) else value
            )

        originals = {filled(path): path for path in self.files}
        for path in originals.keys() ^ files.keys():
            yield f"{path} is missing, or was not to be"
        for path in originals.keys() & files.keys():
            original, content = originals[path], files[path]
            if original in self.varying:
                if self.has_names_only(original, content, values):
                    continue
                expected = [
                    tuple(map(filled, leaf)) if varies else leaf
                    for leaf, varies in self.expected(original)
                ]
                for old, new in zip_longest(expected, leaves(parsed(path, content))):
                    if old != new:
                        yield f"{path} has {new}, not {old}"
                        break
            elif content != self.files[original]:
                yield f"{path} is different"


class Template:
    """A plain copy of the template, which renders faster than a repository."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "template"
        self.baselines: dict[str, Baseline] = {}
        self.source.mkdir()
        copy_working_tree(self.source)

    def render(self, project: Path, answers: dict[str, Any]) -> None:
        with warnings.catch_warnings(action="ignore"):
            run_copy(str(self.source), project, answers, defaults=True, unsafe=True, quiet=True)

    def baseline(self, answers: dict[str, Any]) -> Baseline:
        """Return the same variant with placeholders, which are empty where the answers are."""
        variant = {name: answers[name] for name in ("io", "database", "fastapi")}
        texts = {name: text if answers[name] else "" for name, text in PLACEHOLDERS.items()}
        name = str(variant | texts)
        if name not in self.baselines:
            with TemporaryDirectory(dir=self.source.parent) as folder:
                self.render(Path(folder) / "project", variant | texts)
                self.baselines[name] = Baseline(Path(folder) / "project")
        return self.baselines[name]


@contextmanager
def imported(package: str, sources: Path) -> Iterator[dict[str, ModuleType]]:
    """Import the modules of a package right here, and forget them afterwards."""
    paths = (path.relative_to(sources).with_suffix("") for path in sources.rglob("*.py"))
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    # Alembic alone can import its environment.
    names = [name for name in names if not re.search(r"\.migrations\b|\.__main__$", name)]

    def forget() -> dict[str, ModuleType]:
        loaded = [name for name in sys.modules if name.split(".")[0] == package]
        return {name: sys.modules.pop(name) for name in loaded}

    # What these tests import may have that name too, such as copier.
    hidden = forget()
    invalidate_caches()
    with patch.object(sys, "path", [str(sources), *sys.path]):
        try:
            yield {name.removeprefix(package): import_module(name) for name in names}
        finally:
            forget()
            sys.modules.update(hidden)


def built_metadata(project: Path) -> Metadata:
    """Return what the build backend makes of pyproject.toml and README.md."""
    construct = get_core_metadata_constructors()[DEFAULT_METADATA_VERSION]
    return Metadata.from_email(construct(ProjectMetadata(str(project), PluginManager())))


def block(text: str, content: str) -> str:
    """Return the one block of Python in a text that has this content."""
    blocks = re.findall(r"^```python\n(.+?)^```$", text, re.M | re.S)
    [found] = [block for block in blocks if content in block]
    return str(found)
