"""What an update finds in a project: its answers so far, what is changed, what is left to do."""

import re
from pathlib import Path

from jinja2 import Environment, UndefinedError, pass_context
from jinja2.ext import Extension
from jinja2.runtime import Context

# What code says that has not been moved from asyncio to blocking calls, or the other way.
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
def previous_answers(context: Context) -> dict[str, str]:
    """Return the answers that a project was last rendered with; none if it is a new one.

    Only answers of one word are there. Raises UndefinedError, which Copier prints as a message, if
    the package has another name now: all its files would be deleted, and rendered elsewhere.
    """
    settings = context["_copier_conf"]
    file = Path(settings["dst_path"], settings["answers_file"])
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    previous = dict(re.findall(r"^(\w+): '?(\w+)'?$", text, re.M))
    old, new = previous.get("package_name", ""), context["package_name"]
    if old not in ("", new):
        raise UndefinedError(
            f"The package is called {old}. An update to {new} would delete src/{old} with all that"
            f" you have written, so answer {old}. To rename the package, move src/{old} to"
            f" src/{new} yourself, put the new name wherever the old one stands, also in"
            f" {settings['answers_file']}, commit, and then update."
        )
    return previous


@pass_context
def is_changed(context: Context, path: str, template: str) -> bool:
    """Tell whether a file is in a project, and is in neither form what its template renders."""
    file = Path(context["_copier_conf"]["dst_path"], path)
    if not file.is_file():
        return False
    source = context.environment.get_template(template)
    forms = [source.render({**context.get_all(), "io": io}) for io in ("async", "sync")]
    return file.read_text(encoding="utf-8") not in forms


@pass_context
def left_to_do(context: Context, previous: dict[str, str]) -> dict[str, list[str]]:
    """Return what the owner has to change by hand because answers have changed, and where.

    The folders of the layer, called db, are the template's and left out.
    """
    patterns = {}
    if previous.get("io") == "async" and context["io"] == "sync":
        patterns["Code that still says await"] = ASYNC
    if previous.get("io") == "sync" and context["io"] == "async":
        patterns["Code that does not say await yet"] = SYNC
    if previous.get("fastapi") == "true" and not context["fastapi"]:
        patterns["Code that still imports FastAPI, or what was in web/"] = HTTP
    if not patterns:
        return {}
    folder = Path(context["_copier_conf"]["dst_path"])
    tasks: dict[str, list[str]] = {}
    for path in sorted([*folder.glob("src/**/*.py"), *folder.glob("tests/**/*.py")]):
        if "db" in path.relative_to(folder).parts:
            continue
        code = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for task, pattern in patterns.items():
            lines = [str(n) for n, line in enumerate(code, 1) if pattern.search(line)]
            if lines:
                place = path.relative_to(folder).as_posix()
                tasks.setdefault(task, []).append(f"{place}:{', '.join(lines)}")
    return tasks


class Project(Extension):
    """Make what is known of a project available to copier.yml."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals.update(
            previous_answers=previous_answers,
            is_changed=is_changed,
            left_to_do=left_to_do,
        )
