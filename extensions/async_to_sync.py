"""Jinja filter that derives the sync form of a Python file from its async form.

    {% filter for_io(io) %}
    ... the file, written as async code ...
    {% endfilter %}

With `io` "async" the file is not changed. With "sync" its tokens are rewritten. Comments, docstrings
and other strings are not changed, so prose in a shared file names neither form.
"""

import ast
import io
import token
import tokenize
from dataclasses import dataclass

from jinja2 import Environment
from jinja2.ext import Extension

# Imported (module, name) of the async form -> that of the sync form, or None without one.
# The name is empty where the module itself is imported.
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
# Names of the async form -> names of the sync form.
NAMES = {
    "AsyncDatabaseManager": "DatabaseManager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
} | {old[1]: new[1] for old, new in IMPORTS.items() if old[1] and new}
# Modules, as in `asyncio.sleep` -> `time.sleep`.
MODULES = {old[0]: new[0] for old, new in IMPORTS.items() if not old[1] and new}
# Calls and types that are replaced by their argument, as in `asyncio.run(work())` -> `work()`.
UNWRAPPED_CALLS = {("asyncio", "run")}
UNWRAPPED_TYPES = {"Awaitable"}
# What the sync form lacks.
DROPPED_BASES = {"AsyncAttrs"}
DROPPED_ATTRIBUTES = {"sync_engine"}
DROPPED_DECORATORS = {"coroutine"}
LINE_LENGTH = 100


@dataclass
class Token:
    """A token and the white space before it."""

    space: str
    type: int
    text: str


def to_sync(source: str) -> str:
    """Return the sync form of async code. Raises SyntaxError for invalid code."""
    tokens = _tokenize(_rewrite_imports(source))
    tokens = _rename(_unwrap(_replace_run_sync(tokens)))
    return "".join(item.space + item.text for item in tokens)


def _tokenize(source: str) -> list[Token]:
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
    """Return the texts of `count` tokens, which are empty after the last token."""
    texts = [item.text for item in tokens[start : start + count]]
    return texts + [""] * (count - len(texts))


def _closing(tokens: list[Token], opening: int) -> int:
    """Return the index of the bracket that closes the one at `opening`."""
    depth = 0
    for index in range(opening, len(tokens)):
        if tokens[index].type == token.OP:
            depth += (tokens[index].text in "([{") - (tokens[index].text in ")]}")
            if not depth:
                return index
    raise SyntaxError("a bracket is never closed")


def _replace_run_sync(tokens: list[Token]) -> list[Token]:
    """Rewrite `connection.run_sync(work, x)` as `work(connection, x)`."""
    index = 0
    while index < len(tokens):
        if _texts(tokens, index, 3) == [".", "run_sync", "("]:
            start = index - 1
            while tokens[start - 1].text == ".":
                start -= 2
            first = index + 3
            while tokens[first].type == tokenize.NL:
                first += 1
            end = first
            while tokens[end].text == "." or tokens[end].type == token.NAME:
                end += 1
            if end == first or tokens[end].text not in (",", ")"):
                raise SyntaxError("the first argument of run_sync must be a name")
            receiver, work = tokens[start:index], tokens[first:end]
            work[0].space, receiver[0].space = receiver[0].space, work[0].space
            tokens[start:end] = [*work, *tokens[index + 2 : first], *receiver]
            index = start
        index += 1
    return tokens


def _unwrap(tokens: list[Token]) -> list[Token]:
    """Unwrap calls and types; drop attributes, base classes and decorators."""
    index = 0
    while index < len(tokens):
        first, second, third, fourth = _texts(tokens, index, 4)
        opening = 0
        if (second, fourth) == (".", "(") and (first, third) in UNWRAPPED_CALLS:
            opening = index + 3
        elif first in UNWRAPPED_TYPES and second == "[":
            opening = index + 1
        if opening:
            closing = _closing(tokens, opening)
            inside = tokens[opening + 1 : closing]
            inside[0].space = tokens[index].space
            tokens[index : closing + 1] = inside
        elif first == "@" and second in DROPPED_DECORATORS and third == "\n":
            del tokens[index : index + 3]
        elif first == "." and second in DROPPED_ATTRIBUTES:
            del tokens[index : index + 2]
        elif first in DROPPED_BASES and second == ",":
            tokens[index + 2].space = tokens[index].space
            del tokens[index : index + 2]
        else:
            index += 1
    return tokens


def _rename(tokens: list[Token]) -> list[Token]:
    """Drop `async` and `await`; rename modules and other names."""
    result: list[Token] = []
    for index, item in enumerate(tokens):
        if item.type == token.NAME:
            if item.text in ("async", "await"):
                tokens[index + 1].space = item.space
                continue
            is_attribute = bool(result) and result[-1].text == "."
            if not is_attribute and tokens[index + 1].text == ".":
                item.text = MODULES.get(item.text, item.text)
            item.text = NAMES.get(item.text, item.text)
        result.append(item)
    return result


def _rewrite_imports(source: str) -> str:
    """Rewrite the blocks of imports that differ in the sync form."""
    tree = ast.parse(source)
    unused = _unused_modules(tree)
    lines = source.splitlines(keepends=True)
    for block in reversed(_import_blocks(tree)):
        old = [name for node in block for name in _imported(node)]
        new = [
            IMPORTS.get((module, name), (module, NAMES.get(name, name)))
            for module, name in old
            if name or module not in unused
        ]
        if new != old:
            text = _format_imports({name for name in new if name})
            first, last = block[0].lineno - 1, block[-1].end_lineno or 0
            if not text and last < len(lines) and not lines[last].strip():
                last += 1
            lines[first:last] = [text]
    return "".join(lines)


def _unused_modules(tree: ast.Module) -> set[str]:
    """Return the modules that the sync form does not use."""
    used = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return set(MODULES) - {module for module, _ in used - UNWRAPPED_CALLS}


def _import_blocks(tree: ast.Module) -> list[list[ast.Import | ast.ImportFrom]]:
    """Return the imports of a module, grouped by consecutive lines."""
    blocks: list[list[ast.Import | ast.ImportFrom]] = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            if blocks and blocks[-1][-1].end_lineno == node.lineno - 1:
                blocks[-1].append(node)
            else:
                blocks.append([node])
    return blocks


def _imported(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    """Return the (module, name) pairs that a statement imports."""
    if isinstance(node, ast.Import):
        return [(ast.unparse(alias), "") for alias in node.names]
    module = "." * node.level + (node.module or "")
    return [(module, ast.unparse(alias)) for alias in node.names]


def _format_imports(imports: set[tuple[str, str]]) -> str:
    """Return import statements, sorted and wrapped as Ruff does."""
    text = "".join(f"import {module}\n" for module, name in sorted(imports) if not name)
    for module in sorted({module for module, name in imports if name}, key=str.lower):
        names = sorted((name for of, name in imports if of == module and name), key=_ruff_order)
        line = f"from {module} import {', '.join(names)}\n"
        if len(line.rstrip()) > LINE_LENGTH:
            line = f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"
        text += line
    return text


def _ruff_order(name: str) -> tuple[bool, bool, str]:
    """Sort constants first, then classes, then all other names."""
    return not (name.isupper() and len(name) > 1), not name[:1].isupper(), name


def for_io(source: str, style: str) -> str:
    """Return the source for "async", and its derived form for "sync"."""
    return to_sync(source) if style == "sync" else source


class AsyncToSync(Extension):
    """Provide the filter `for_io`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters["for_io"] = for_io
