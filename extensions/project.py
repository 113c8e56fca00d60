"""Jinja filters that compare a project with the template, for `copier update`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, UndefinedError, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

# Async code: `await`, `async with`, `async for`, and the types of async sessions and engines.
ASYNC = re.compile(r"\bawait\b|\basync (with|for)\b|\bAsync(DatabaseManager|Engine|Session)\b")
# Sync code: calls of sessions and queries without `await`, `with` without `async`, and sync types.
SYNC = re.compile(
    r"""
    (?<!await[ ]) \b session\.
        (commit|delete|execute|flush|get|merge|refresh|rollback|scalar|scalars) \(
    | (?<!await[ ]) (?<!\.) \b (\w+\.)?
        (get_by_pk|get_one|get_or_create|update_or_create|upsert_many) \( \w*session\b
    | (?<!async[ ]) \b with[ ] (manager|make_db_session) \b
    | \b DatabaseManager \b
    | \b import \b .* (?<!\w) Session \b
    """,
    re.VERBOSE,
)
HTTP = re.compile(r"\bfrom (fastapi|\S*\bweb)\b.* import\b|\bimport (fastapi|\S+\.web)\b")
# An answer, its old and its new value, what is left to do then, and the lines where.
TASKS = (
    ("io", "async", "sync", "Make this code sync", ASYNC),
    ("io", "sync", "async", "Make this code async", SYNC),
    ("fastapi", True, False, "Remove what uses FastAPI or web/", HTTP),
)
# Files of the template that are kept current by the update: the layer, and what is async in both forms.
UPDATED = re.compile(
    r"/db/|/web/(dependencies|errors|health|limits|logs|test_(threads|websockets))\.py$"
)


@pass_context
def answers_before(context: Context, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last `io`, `database` and `fastapi` of a project, or the new ones if it has none.

    Raises UndefinedError, which Copier prints as a message, for another package name, because the
    update would delete the package, and for a recorded name that is not accepted any more, because
    Copier would replace it by the default.
    """
    file = Path(settings["dst_path"], settings["answers_file"])
    recorded = yaml.safe_load(file.read_bytes()) if file.is_file() else {}
    old, new = recorded.get("package_name", ""), context["package_name"]
    if old not in ("", new):
        raise UndefinedError(
            f"The package is called {old}. An update to {new} would delete src/{old} with your"
            f" changes. Answer {old}, or rename the package: move src/{old} to src/{new}, replace the"
            f" name in all files, also in {settings['answers_file']}, commit, and update again."
        )
    if "distribution_name" in recorded and "distribution_name" not in settings["data"]:
        check = context.environment.filters["distribution_name_problem"]
        if problem := check(str(recorded["distribution_name"])):
            raise UndefinedError(
                f"{problem} To rename the project, run `copier update` again with"
                " `--data distribution_name=NAME`."
            )
    before = {name: recorded.get(name, context[name]) for name in ("io", "database", "fastapi")}
    return before | {"fastapi": str(before["fastapi"]).lower() in ("true", "yes", "y", "on", "1")}


@pass_context
def gone(context: Context, folder: str) -> str:
    """Return the folder if a project to be updated does not have it, and otherwise nothing."""
    project = Path(context["_copier_conf"]["dst_path"])
    is_gone = any(project.glob("*")) and not (project / folder).is_dir()
    return folder if is_gone and context["_copier_operation"] == "update" else ""


@pass_context
def moved(context: Context, settings: Mapping[str, Any]) -> list[str]:
    """Return the modules that were moved: another path, the same name, more than half of the lines."""
    project, root = Path(settings["dst_path"]), Path(settings["src_path"], "template")
    moves = []
    for source in root.rglob("*.py*"):
        names = source.relative_to(root).as_posix().removesuffix(".jinja").split("/")
        parts = [context.environment.from_string(n).render(context.get_all()) for n in names]
        if all(parts) and not project.joinpath(*parts).exists():
            text = source.read_text(encoding="utf-8")
            if source.suffix == ".jinja":
                text = context.environment.from_string(text).render(context.get_all())
            lines = set(text.splitlines())
            for path in project.glob(f"[!.]*/**/{parts[-1]}"):
                if len(lines.intersection(_lines(path))) > len(lines) / 2:
                    moves.append(f"{'/'.join(parts)} -> {path.relative_to(project).as_posix()}")
    return sorted(moves)


@pass_context
def left_to_do(context: Context, before: dict[str, Any]) -> dict[str, list[str]]:
    """Return the tasks that other answers leave to an owner, and the lines of code for each.

    Lines are matched, not parsed, because a file with conflict markers is not valid Python.
    """
    project = Path(context["_copier_conf"]["dst_path"])
    files = sorted([*project.glob("src/**/*.py"), *project.glob("tests/**/*.py")])
    tasks: dict[str, list[str]] = {}
    for answer, old, new, task, pattern in TASKS:
        if (before[answer], context[answer]) == (old, new):
            for path in files:
                name = path.relative_to(project).as_posix()
                lines = [str(n) for n, line in enumerate(_lines(path), 1) if pattern.search(line)]
                if lines and not UPDATED.search(name):
                    tasks.setdefault(task, []).append(f"{name}:{', '.join(lines)}")
    return tasks


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines()


class Project(Extension):
    """Provide the filters of this file to copier.yml."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        for function in (answers_before, gone, moved, left_to_do):
            environment.filters[function.__name__] = function
