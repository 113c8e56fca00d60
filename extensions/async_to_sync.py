"""Jinja filter that derives the plain blocking form of a Python file from its asyncio form.

    {% filter for_io(io) %}
    ... the file, written as async code ...
    {% endfilter %}

With `io` "async" the file passes unchanged. With "sync" it is rewritten token by token: comments,
docstrings and other strings stay as they are, so prose in a shared file speaks of neither form.
"""

import ast
import io
import token
import tokenize
from dataclasses import dataclass

from jinja2 import Environment
from jinja2.ext import Extension

# (module, name) as the async form imports it -> the same for the sync form, or None: it vanishes.
# A module by itself is written with an empty name.
IMPORTS: dict[tuple[str, str], tuple[str, str] | None] = {
    ("asyncio", ""): ("time", ""),
    ("collections.abc", "AsyncIterator"): ("collections.abc", "Iterator"),
    ("collections.abc", "Awaitable"): None,
    ("contextlib", "asynccontextmanager"): ("contextlib", "contextmanager"),
    (".coroutine", "coroutine"): None,
    ("sqlalchemy", "AsyncAdaptedQueuePool"): ("sqlalchemy", "QueuePool"),
    ("sqlalchemy.ext.asyncio", "AsyncAttrs"): None,
    ("sqlalchemy.ext.asyncio", "AsyncEngine"): ("sqlalchemy", "Engine"),
    ("sqlalchemy.ext.asyncio", "AsyncSession"): ("sqlalchemy.orm", "Session"),
    ("sqlalchemy.ext.asyncio", "async_sessionmaker"): ("sqlalchemy.orm", "sessionmaker"),
    ("sqlalchemy.ext.asyncio", "create_async_engine"): ("sqlalchemy", "create_engine"),
}
# Names of the async form that are not imported under that name from a module above.
NAMES = {
    "AsyncDatabaseManager": "DatabaseManager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
} | {old[1]: new[1] for old, new in IMPORTS.items() if old[1] and new}
# `asyncio.sleep` -> `time.sleep`, but `asyncio.run(work())` -> `work()`.
MODULES = {old[0]: new[0] for old, new in IMPORTS.items() if not old[1] and new}
UNWRAPPED_CALLS = {("asyncio", "run")}
UNWRAPPED_TYPES = {"Awaitable"}
DROPPED_BASES = {"AsyncAttrs"}
DROPPED_ATTRIBUTES = {"sync_engine"}
DROPPED_DECORATORS = {"coroutine"}
LINE_LENGTH = 100


@dataclass
class Token:
    """A token, with the white space before it."""

    space: str
    type: int
    text: str


def to_sync(source: str) -> str:
    """Return the blocking form of asyncio code. Raises SyntaxError for what is not Python."""
    tokens = _tokens(_rewrite_imports(source))
    for rule in (_run_sync, _wrappers, _words):
        tokens = rule(tokens)
    return "".join(item.space + item.text for item in tokens)


def _tokens(source: str) -> list[Token]:
    lines = source.splitlines(keepends=True)
    tokens = []
    row, column = 1, 0
    for item in tokenize.generate_tokens(io.StringIO(source).readline):
        (start_row, start_column), (end_row, end_column) = item.start, item.end
        if start_row > len(lines) and not item.string:
            continue
        between = [*lines[row - 1 : start_row - 1], lines[start_row - 1][:start_column]]
        between[0] = between[0][column:]
        space = "".join(between) if (start_row, start_column) >= (row, column) else ""
        tokens.append(Token(space, item.type, item.string if item.type != token.DEDENT else ""))
        row, column = end_row, end_column
        if item.type in (token.NEWLINE, tokenize.NL):
            row, column = end_row + 1, 0
    return tokens


def _texts(tokens: list[Token], start: int, count: int) -> list[str]:
    return [item.text for item in tokens[start : start + count]] + [""] * count


def _closing(tokens: list[Token], opening: int) -> int:
    """Return the index of the bracket that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(tokens)):
        if tokens[index].type == token.OP:
            depth += (tokens[index].text in "([{") - (tokens[index].text in ")]}")
            if not depth:
                return index
    raise SyntaxError("a bracket is never closed")


def _run_sync(tokens: list[Token]) -> list[Token]:
    """`connection.run_sync(work, x)` -> `work(connection, x)`."""
    result = list(tokens)
    index = 0
    while index < len(result):
        if _texts(result, index, 3)[:3] == [".", "run_sync", "("]:
            start = index - 1
            while result[start - 1].text == ".":
                start -= 2
            first = index + 3
            while result[first].type == tokenize.NL:
                first += 1
            end = first
            while result[end].text == "." or result[end].type == token.NAME:
                end += 1
            if end == first or result[end].text not in (",", ")"):
                raise SyntaxError("the first argument of run_sync has to be a name")
            receiver, work = result[start:index], result[first:end]
            work[0].space, receiver[0].space = receiver[0].space, work[0].space
            result[start:end] = [*work, *result[index + 2 : first], *receiver]
            index = start
        index += 1
    return result


def _wrappers(tokens: list[Token]) -> list[Token]:
    """Unwrap `asyncio.run(x)` and `Awaitable[T]`; drop attributes, base classes and decorators."""
    result = list(tokens)
    index = 0
    while index < len(result):
        module, dot, name, bracket = _texts(result, index, 4)[:4]
        if dot == "." and bracket == "(" and (module, name) in UNWRAPPED_CALLS:
            opening = index + 3
        elif module in UNWRAPPED_TYPES and dot == "[":
            opening = index + 1
        else:
            opening = 0
        if opening:
            closing = _closing(result, opening)
            inside = result[opening + 1 : closing]
            inside[0].space = result[index].space
            result[index : closing + 1] = inside
        elif module == "@" and dot in DROPPED_DECORATORS and name == "\n":
            del result[index : index + 3]
        elif module == "." and dot in DROPPED_ATTRIBUTES:
            del result[index : index + 2]
        elif module in DROPPED_BASES and dot == ",":
            result[index + 2].space = result[index].space
            del result[index : index + 2]
        else:
            index += 1
    return result


def _words(tokens: list[Token]) -> list[Token]:
    """Drop `async` and `await`, rename names and modules."""
    result: list[Token] = []
    space: str | None = None
    for index, item in enumerate(tokens):
        if space is not None:
            item, space = Token(space, item.type, item.text), None
        if item.type == token.NAME:
            attribute = bool(result) and result[-1].text == "."
            if item.text in ("async", "await"):
                space = item.space
                continue
            if item.text in MODULES and not attribute and tokens[index + 1].text == ".":
                item = Token(item.space, item.type, MODULES[item.text])
            else:
                item = Token(item.space, item.type, NAMES.get(item.text, item.text))
        result.append(item)
    return result


def _rewrite_imports(source: str) -> str:
    """Give each block of imports the modules and names of the sync form."""
    tree = ast.parse(source)
    unwrapped = _unwrapped_modules(tree)
    lines = source.splitlines(keepends=True)
    for block in reversed(_import_blocks(tree)):
        old = [name for node in block for name in _imported(node)]
        new = [
            IMPORTS.get((module, name), (module, NAMES.get(name, name)))
            for module, name in old
            if module not in unwrapped
        ]
        if new != old:
            text = _format_imports({name for name in new if name})
            first, last = block[0].lineno - 1, block[-1].end_lineno or 0
            if not text and last < len(lines) and not lines[last].strip():
                last += 1
            lines[first:last] = [text]
    return "".join(lines)


def _unwrapped_modules(tree: ast.Module) -> set[str]:
    """Return the modules of which nothing but unwrapped calls is used."""
    used = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return {
        module
        for module in MODULES
        if not any(name == module for name, _ in used - UNWRAPPED_CALLS)
    }


def _import_blocks(tree: ast.Module) -> list[list[ast.Import | ast.ImportFrom]]:
    """Return the imports of a module; those on consecutive lines are a block."""
    blocks: list[list[ast.Import | ast.ImportFrom]] = []
    last: int | None = None
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            if last is None or node.lineno != last + 1:
                blocks.append([])
            blocks[-1].append(node)
            last = node.end_lineno
    return blocks


def _imported(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    """Return pairs of a module and a name in it, or no name where a module is imported."""
    if isinstance(node, ast.Import):
        return [(ast.unparse(alias), "") for alias in node.names]
    module = "." * node.level + (node.module or "")
    return [(module, ast.unparse(alias)) for alias in node.names]


def _format_imports(imports: set[tuple[str, str]]) -> str:
    """Return import statements in the order and form of Ruff."""
    text = "".join(f"import {module}\n" for module, name in sorted(imports) if not name)
    for module in sorted({module for module, name in imports if name}, key=str.lower):
        names = sorted((name for of, name in imports if of == module and name), key=_ruff_order)
        line = f"from {module} import {', '.join(names)}\n"
        if len(line.rstrip()) > LINE_LENGTH:
            line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"
        text += line
    return text


def _ruff_order(name: str) -> tuple[bool, bool, str]:
    """Sort constants first, then classes, then the others."""
    return not (name.isupper() and len(name) > 1), not name[:1].isupper(), name


def for_io(source: str, style: str) -> str:
    """Return `source` as it is for "async", and its derived form for "sync"."""
    return to_sync(source) if style == "sync" else source


class AsyncToSync(Extension):
    """Provide the filter `for_io`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["for_io"] = for_io
