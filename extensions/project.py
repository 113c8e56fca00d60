"""Compare a project with the template: its last answers, what an update misses, what is left to do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, UndefinedError, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

# Files of the template's that are asynchronous in both forms.
ON_THE_EVENT_LOOP = re.compile(
    r"/web/(dependencies|errors|health|limits|logs|test_websockets)\.py$"
)
# Code that has not been moved from asyncio to blocking calls, or the other way.
ASYNC = re.compile(r"\bawait\b|\basync (with|for)\b|\bAsync(DatabaseManager|Engine|Session)\b")
METHODS = "commit|delete|execute|flush|get|merge|refresh|rollback|scalar|scalars"
QUERIES = "get_by_pk|get_one|get_or_create|update_or_create|upsert_many"
SYNC = re.compile(
    rf"(?<!await )\bsession\.({METHODS})\(|(?<!await )(?<!\.)\b(\w+\.)?({QUERIES})\(\w*session\b"
    r"|(?<!async )\bwith (manager|make_db_session)\b"
    r"|\bDatabaseManager\b|\bimport\b.*(?<!\w)Session\b"
)
HTTP = re.compile(r"\bfrom (fastapi|\S*\bweb)\b.* import\b|\bimport (fastapi|\S+\.web)\b")


@pass_context
def answers_before(context: Context, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a project's last `io`, `database` and `fastapi`, or the present ones if it is new.

    Raises UndefinedError, which Copier prints as a message, if the package has another name now:
    all its files would be deleted, and rendered elsewhere.
    """
    file = Path(settings["dst_path"], settings["answers_file"])
    recorded = yaml.safe_load(file.read_bytes()) if file.is_file() else {}
    old, new = recorded.get("package_name", ""), context["package_name"]
    if old not in ("", new):
        raise UndefinedError(
            f"The package is called {old}. An update to {new} would delete src/{old} with all that"
            f" you have written, so answer {old}. To rename the package, move src/{old} to"
            f" src/{new} yourself, put the new name wherever the old one stands, also in"
            f" {settings['answers_file']}, commit, and then update."
        )
    before = {name: recorded.get(name, context[name]) for name in ("io", "database", "fastapi")}
    return before | {"fastapi": str(before["fastapi"]).lower() in ("true", "yes", "y", "on", "1")}


@pass_context
def gone(context: Context, folder: str) -> str:
    """Return a folder if a project that is updated does not have it; otherwise nothing."""
    project = Path(context["_copier_conf"]["dst_path"])
    is_gone = any(project.glob("*")) and not (project / folder).is_dir()
    return folder if is_gone and context["_copier_operation"] == "update" else ""


@pass_context
def moved(context: Context, settings: Mapping[str, Any]) -> list[str]:
    """Return the template's modules that are elsewhere: same name, more than half of the lines."""
    project, root, found = Path(settings["dst_path"]), Path(settings["src_path"], "template"), []
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
                    found.append(f"{'/'.join(parts)} -> {path.relative_to(project).as_posix()}")
    return sorted(found)


@pass_context
def left_to_do(context: Context, before: dict[str, Any]) -> dict[str, list[str]]:
    """Return what an owner has to change by hand after other answers, and where; not in db/."""
    patterns = []
    if (before["io"], context["io"]) == ("async", "sync"):
        patterns.append(("Code that still says await", ASYNC))
    if (before["io"], context["io"]) == ("sync", "async"):
        patterns.append(("Code that does not say await yet", SYNC))
    if before["fastapi"] and not context["fastapi"]:
        patterns.append(("Code that still imports FastAPI, or what was in web/", HTTP))
    project = Path(context["_copier_conf"]["dst_path"])
    tasks: dict[str, list[str]] = {}
    for task, pattern in patterns:
        for path in sorted([*project.glob("src/**/*.py"), *project.glob("tests/**/*.py")]):
            place, code = path.relative_to(project).as_posix(), enumerate(_lines(path), 1)
            lines = ", ".join(str(number) for number, line in code if pattern.search(line))
            if lines and "/db/" not in place and not ON_THE_EVENT_LOOP.search(place):
                tasks.setdefault(task, []).append(f"{place}:{lines}")
    return tasks


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines()


class Project(Extension):
    """Provide the filters that copier.yml applies to a project."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        for function in (answers_before, gone, moved, left_to_do):
            environment.filters[function.__name__] = function
