"""Divide a script with marks of cells into cells: percent scripts, marimo's, Databricks' exported sources.

In: the text of a script. Out: a `Notebook` whose cells know the line they begin at. Called by `read.py`.
Magics that jupytext and Databricks write as comments come back as magics, line for line.
"""

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

from roadworthy.notebooks.languages import cell_language
from roadworthy.notebooks.notebook import Cell, Form, Kind, Notebook
from roadworthy.nouns.errors import invalid

HEAD_BYTES = 65_536
_PERCENT = re.compile(r"^[ \t]*#\s?%%(?P<more>%*)(?P<rest>(\s.*|\[.*)?)$", re.MULTILINE)
_PERCENT_KIND = re.compile(r"\[(markdown|md|raw)\]")
_PERCENT_TAGS = re.compile(r"\btags=\[([^\]]*)\]")
_COMMENTED_MAGIC = re.compile(r"^(?P<indent>[ \t]*)# ?(?P<magic>(%%?[a-zA-Z]|![\w./~])\S*( .*)?|[\w.]+\?{1,2})$")
_MARIMO = re.compile(r"^(?:\w+\s*=\s*marimo\.App\(|@app\.cell\b)", re.MULTILINE)
_DATABRICKS = {"#": "python", "--": "sql", "//": "scala"}
_DATABRICKS_HEAD = re.compile(r"^(#|--|//) Databricks notebook source[ \t]*$", re.MULTILINE)
_DATABRICKS_LANGUAGES = {
    "md": "markdown", "md-sandbox": "markdown", "sql": "sql", "python": "python", "scala": "scala", "r": "r",
    "sh": "bash", "fs": "databricks-fs",
}  # fmt: skip


def form_of(text: str) -> Form | None:
    """Which form of notebook a script is; None when it is a plain script."""
    head = _DATABRICKS_HEAD.match(text.lstrip("\ufeff"))
    if head:
        return "databricks"
    if "marimo" in text and _MARIMO.search(text):
        return "marimo"
    return "percent" if "%%" in text and _PERCENT.search(text) else None


def divide(path: Path, text: str) -> Notebook:
    """The notebook that a script is.

    Raises:
        Fault: invalid when it has no marks of cells, or is a marimo notebook that is no Python.
    """
    text = text.replace("\r\n", "\n")
    form = form_of(text)
    if form is None:
        raise invalid(
            "it has no cells: neither `# %%`, nor marimo's `@app.cell`, nor `# Databricks notebook source`",
            where=str(path),
            fix="mark cells with `# %%`, or name a notebook",
        )
    if form == "databricks":
        head = _DATABRICKS_HEAD.match(text)
        mark = head[1] if head else "#"
        language = "r" if path.suffix.lower() == ".r" else _DATABRICKS[mark]
        return Notebook(
            path=path, form=form, cells=_databricks(text, mark, language), language=language, kernel="databricks"
        )
    if form == "marimo":
        return Notebook(path=path, form=form, cells=_marimo(path, text), kernel="marimo")
    cells, metadata = _percent(text)
    kernel = re.search(r"^#\s+name: (\S+)$", metadata.get("header", ""), re.MULTILINE)
    return Notebook(path=path, form=form, cells=cells, metadata=metadata, kernel=kernel[1] if kernel else "")


def _percent(text: str) -> tuple[tuple[Cell, ...], dict[str, Any]]:
    lines = text.split("\n")
    metadata: dict[str, Any] = {}
    first = 0
    if lines and lines[0].rstrip() == "# ---":  # jupytext's header
        end = next((n for n, line in enumerate(lines[1:200], 1) if line.rstrip() == "# ---"), 0)
        metadata["header"] = "\n".join(lines[1:end])
        first = end + 1 if end else 0
    marks = [n for n in range(first, len(lines)) if "%%" in lines[n] and _PERCENT.match(lines[n])]
    cells: list[Cell] = []
    before = lines[first : marks[0]] if marks else lines[first:]
    if any(line.strip() for line in before):
        cells.append(_percent_cell(0, "", before, first + 1))
    for mark, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        found = _PERCENT.match(lines[mark])
        rest = (found["rest"] or "").strip() if found else ""
        cells.append(_percent_cell(len(cells), rest, lines[mark + 1 : end], mark + 2))
    return tuple(cells), metadata


def _percent_cell(index: int, rest: str, lines: list[str], line: int) -> Cell:
    kind_mark = _PERCENT_KIND.search(rest)
    kind: Kind = "code" if kind_mark is None else "raw" if kind_mark[1] == "raw" else "markdown"
    tags_mark = _PERCENT_TAGS.search(rest)
    tags = tuple(re.findall(r"['\"]([^'\"]+)['\"]", tags_mark[1])) if tags_mark else ()
    title = _PERCENT_TAGS.sub("", _PERCENT_KIND.sub("", rest)).strip()
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    while lines and not lines[0].strip():
        lines, line = lines[1:], line + 1
    metadata: dict[str, Any] = {"title": title} if title else {}
    shown = [_uncommented(each) for each in lines] if kind == "code" else _prose(lines)
    source = "\n".join(shown)
    language = cell_language(source, {}, "python") if kind == "code" else "python"
    return Cell(
        index=index, kind=kind, source=source, id=f"cell-{index}", tags=tags, language=language, line=line,
        metadata=metadata,
    )  # fmt: skip


def _uncommented(line: str) -> str:
    """A magic that jupytext has made a comment of, as a magic again; the columns shift, the line stays."""
    if "#" not in line:
        return line
    found = _COMMENTED_MAGIC.match(line)
    return found["indent"] + found["magic"] if found else line


def _prose(lines: list[str]) -> list[str]:
    """The text of a markdown cell: without comment marks, or the inside of a text in triple quotes."""
    whole = "\n".join(lines).strip()
    quoted = re.fullmatch(r"[rR]?(\"\"\"|''')(.*)\1", whole, re.DOTALL)
    if quoted:
        return quoted[2].strip("\n").split("\n")
    return [re.sub(r"^[ \t]*# ?", "", line) for line in lines]


def _databricks(text: str, mark: str, language: str) -> tuple[Cell, ...]:
    boundary = re.compile(rf"^{re.escape(mark)} COMMAND -+[ \t]*$")
    magic = f"{mark} MAGIC"
    lines = text.split("\n")
    cells: list[Cell] = []
    start = 1
    ends = [n for n in range(1, len(lines)) if boundary.match(lines[n])] + [len(lines)]
    for end in ends:
        body, line = lines[start:end], start + 1
        start = end + 1
        while body and not body[-1].strip():
            body = body[:-1]
        while body and not body[0].strip():
            body, line = body[1:], line + 1
        if not body:
            continue
        metadata: dict[str, Any] = {}
        if body[0].startswith(f"{mark} DBTITLE"):
            metadata["title"] = body[0].partition(",")[2].strip()
            body, line = body[1:], line + 1
        cells.append(_databricks_cell(len(cells), body, line, (magic, language, metadata)))
    return tuple(cells)


def _databricks_cell(index: int, body: list[str], line: int, about: tuple[str, str, dict[str, Any]]) -> Cell:
    magic, language, metadata = about
    plain = [each[len(magic) :].removeprefix(" ") if each.startswith(magic) else each for each in body]
    kind: Kind = "code"
    named = re.match(r"%([\w-]+)(.*)", plain[0]) if plain and body[0].startswith(magic) else None
    if named and named[1] in _DATABRICKS_LANGUAGES:
        own = _DATABRICKS_LANGUAGES[named[1]]
        plain[0] = named[2].strip()
        if own == "markdown":
            kind = "markdown"
        else:
            language = own
    elif named and named[1] == "pip":
        language = "python"
    return Cell(
        index=index, kind=kind, source="\n".join(plain), id=f"cell-{index}", language=language, line=line,
        metadata=metadata,
    )  # fmt: skip


def _marimo(path: Path, text: str) -> tuple[Cell, ...]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        line = getattr(problem, "lineno", None)
        raise invalid(
            f"the marimo notebook is no Python: {getattr(problem, 'msg', problem)}",
            where=f"{path}:{line}" if line else str(path),
            fix="marimo itself writes cells with errors as `app._unparsable_cell`",
        ) from None
    lines = text.split("\n")
    cells: list[Cell] = []
    for node in tree.body:
        found = _marimo_cell(node, lines)
        if found is not None:
            source, line, title, indent = found
            cells.append(_marimo_made(len(cells), source, line, {"title": title, "indent": indent}))
    return tuple(cells)


def _marimo_made(index: int, source: str, line: int, metadata: dict[str, Any]) -> Cell:
    prose = re.fullmatch(r"\s*mo\.md\(\s*[rf]?(\"\"\"|'''|\"|')(.*)\1\s*\)\s*", source, re.DOTALL)
    metadata = {key: value for key, value in metadata.items() if value not in ("", "_")}
    if prose and "{" not in prose[2]:
        return Cell(
            index=index, kind="markdown", source=textwrap.dedent(prose[2]).strip("\n"), id=f"cell-{index}", line=line,
            metadata=metadata,
        )  # fmt: skip
    language = "sql" if re.match(r"\s*\w+ = mo\.sql\(", source) else "python"
    return Cell(
        index=index, kind="code", source=source, id=f"cell-{index}", line=line, language="python",
        metadata=metadata | ({"sql": True} if language == "sql" else {}),
    )  # fmt: skip


def _marimo_cell(node: ast.stmt, lines: list[str]) -> tuple[str, int, str, int] | None:
    """(source, first line, name, columns taken off) of a top-level statement that is a cell."""
    if isinstance(node, ast.With) and _dotted(node.items[0].context_expr) in {"app.setup", "app.setup()"}:
        return _body(node.body, node.lineno, lines, node.end_lineno or node.lineno, "setup")
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        asked = {_dotted(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}
        if "app.cell" in asked:
            statements = node.body
            last = statements[-1]
            end = node.end_lineno or node.lineno
            if isinstance(last, ast.Return):
                end = last.lineno - 1
                statements = statements[:-1]
            header = node.body[0].lineno - 1
            first = _after_header(lines, node.lineno, header)
            return _body(statements, first, lines, end, getattr(node, "name", ""))
        if asked & {"app.function", "app.class_definition"}:
            return "\n".join(lines[node.lineno - 1 : node.end_lineno]), node.lineno, node.name, 0
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        if _dotted(call.func) == "app._unparsable_cell" and call.args and isinstance(call.args[0], ast.Constant):
            return textwrap.dedent(str(call.args[0].value)).strip("\n"), call.args[0].lineno, "", 0
    return None


def _after_header(lines: list[str], start: int, header: int) -> int:
    """The line that the `):` of a definition is on: comments between it and the first statement are the cell's."""
    for number in range(header, start - 1, -1):
        if lines[number - 1].rstrip().endswith(":"):
            return number
    return start


def _body(
    statements: list[ast.stmt], header: int, lines: list[str], end: int, name: str
) -> tuple[str, int, str, int] | None:
    first = header + 1
    taken = lines[first - 1 : end]
    while taken and not taken[0].strip():
        taken, first = taken[1:], first + 1
    while taken and not taken[-1].strip():
        taken = taken[:-1]
    if not taken and not statements:
        return None
    whole = "\n".join(taken)
    source = textwrap.dedent(whole)
    indent = len(taken[0]) - len(source.split("\n", 1)[0]) if taken else 0
    return source, first, name, indent


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else "?"
