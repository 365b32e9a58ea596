"""A statement as it is written in a step: its own text, comments and layout kept, with names and paths put otherwise.

In: a cell's source, a statement, and what to write instead of what. Out: text. Called by `steps.py` and `module.py`.
"""

import ast
import copy
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from roadworthy.notebooks.convert import names

_COMMENT = re.compile(r"^\s*#(?!\s*%%|\s*In\[)")


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a cell's source to replace."""

    start: int
    end: int
    text: str


class Changes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What to write otherwise in a statement.

    Args:
        reads, writes: names, where they are read and where they are bound.
        extras: function to the arguments it must be given, as `name=value` texts.
        nodes: id of an expression to the text that stands in for it.
    """

    reads: Mapping[str, str]
    writes: Mapping[str, str]
    extras: Mapping[str, tuple[str, ...]]
    nodes: Mapping[int, str]


class Source:
    """The source of a cell, by bytes, as trees count columns."""

    def __init__(self, text: str) -> None:
        self.raw = text.encode()
        self.lines = self.raw.split(b"\n")
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def start(self, node: Any) -> int:
        decorators = getattr(node, "decorator_list", None)
        first = decorators[0] if decorators else node
        before = 1 if decorators else 0  # the @
        return int(self._starts[first.lineno - 1] + first.col_offset - before)

    def end(self, node: Any) -> int:
        return int(self._starts[node.end_lineno - 1] + node.end_col_offset)

    def text(self, node: ast.AST) -> str:
        return self.raw[self.start(node) : self.end(node)].decode()

    def comments(self, node: ast.stmt) -> tuple[str, str]:
        """The comment lines directly above a statement, and the comment behind it."""
        first = (getattr(node, "decorator_list", None) or [node])[0].lineno - 1
        above: list[str] = []
        at = first - 1
        while at >= 0 and _COMMENT.match(self.lines[at].decode()):
            above.insert(0, self.lines[at].decode().strip())
            at -= 1
        behind = self.lines[(node.end_lineno or 1) - 1][node.end_col_offset or 0 :].decode().strip().lstrip(";").strip()
        return "\n".join(above), behind if behind.startswith("#") else ""

    def edited(self, node: ast.AST, edits: list[Edit]) -> str:
        """A node's text with edits made; of two that overlap the outer one counts."""
        start, text = self.start(node), self.raw[self.start(node) : self.end(node)]
        chosen: list[Edit] = []
        for edit in sorted(edits, key=lambda e: (e.start, -e.end)):
            if not chosen or edit.start >= chosen[-1].end:
                chosen.append(edit)
        for edit in reversed(chosen):
            text = text[: edit.start - start] + edit.text.encode() + text[edit.end - start :]
        return text.decode()


def written(source: Source, node: ast.AST, changes: Changes, *, more: tuple[Edit, ...] = ()) -> str:
    """The text of a statement or expression with changes made, without comments around it."""
    return source.edited(node, [*more, *_edits(source, node, changes)])


def rewritten(node: ast.expr, changes: Changes) -> ast.expr:
    """An expression with changes made in its tree, for where the text is of no use."""
    top = {id(o.node): o.node for o in names.occurrences(node)}
    made: ast.expr = _Rewriting(changes).visit(copy.deepcopy(_marked(node, top)))
    return made


def whole(source: Source, node: ast.stmt, changes: Changes) -> str:
    """A statement's text with changes made, and its comments."""
    above, behind = source.comments(node)
    text = written(source, node, changes)
    return "\n".join(filter(None, [above, f"{text}  {behind}" if behind else text]))


def indented(text: str) -> str:
    """Text one level deeper; lines that begin inside a string stay where they are."""
    inside: set[int] = set()
    try:
        tree: ast.AST = ast.parse(text)
    except SyntaxError:
        tree = ast.parse(f"def _():\n{_every(text)}") if text.strip() else ast.parse("")
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and (node.end_lineno or 0) > node.lineno:
            if isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes):
                continue
            inside.update(range(node.lineno + 1, (node.end_lineno or 0) + 1))
    lines = text.split("\n")
    return "\n".join(
        line if number in inside or not line.strip() else f"    {line}" for number, line in enumerate(lines, start=1)
    )


def _every(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def _edits(source: Source, node: ast.AST, changes: Changes) -> list[Edit]:
    found: list[Edit] = []
    top = {id(o.node): o.node for o in names.occurrences(node)}
    strings = _formatted(node)
    for string in strings:
        changed = _Rewriting(changes).visit(copy.deepcopy(_marked(string, top)))
        if ast.dump(changed) != ast.dump(string):
            found.append(Edit(start=source.start(string), end=source.end(string), text=ast.unparse(changed)))
    hidden = {id(part) for string in strings for part in ast.walk(string)}
    for part in ast.walk(node):
        if id(part) in hidden:
            continue
        if id(part) in changes.nodes:
            found.append(Edit(start=source.start(part), end=source.end(part), text=changes.nodes[id(part)]))
        elif isinstance(part, ast.Name) and id(part) in top:
            table = changes.reads if isinstance(part.ctx, ast.Load) else changes.writes
            if part.id in table and table[part.id] != part.id:
                found.append(Edit(start=source.start(part), end=source.end(part), text=table[part.id]))
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id in changes.extras:
            found.append(_more_arguments(source, part, changes.extras[part.func.id]))
    return found


def _formatted(node: ast.AST) -> list[ast.JoinedStr]:
    """The outermost f-strings; before Python 3.12 nothing says where the parts of one are."""
    if isinstance(node, ast.JoinedStr):
        return [node]
    return [found for child in ast.iter_child_nodes(node) for found in _formatted(child)]


def _more_arguments(source: Source, call: ast.Call, extras: tuple[str, ...]) -> Edit:
    at = source.end(call) - 1
    before = source.raw[:at].rstrip()[-1:]
    comma = "" if before in {b"(", b","} else ", "
    return Edit(start=at, end=at, text=comma + ", ".join(extras))


def _marked(string: ast.expr, top: Mapping[int, ast.Name]) -> ast.expr:
    """The tree itself, each node saying what it was, so that a copy of it still knows."""
    for part in ast.walk(string):
        if isinstance(part, ast.Name):
            part.top = id(part) in top  # type: ignore[attr-defined]
        part.was = id(part)  # type: ignore[attr-defined]
    return string


class _Rewriting(ast.NodeTransformer):
    """The same changes, made in a tree."""

    def __init__(self, changes: Changes) -> None:
        self.changes = changes

    def generic_visit(self, node: ast.AST) -> ast.AST:
        text = self.changes.nodes.get(getattr(node, "was", 0))
        if text is not None:
            return ast.parse(text, mode="eval").body
        return super().generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if getattr(node, "top", False) and node.id in self.changes.reads:
            return ast.copy_location(ast.Name(self.changes.reads[node.id], node.ctx), node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        extras: tuple[str, ...] = ()
        if isinstance(node.func, ast.Name):
            extras = self.changes.extras.get(node.func.id, ())
        made = self.generic_visit(node)
        if isinstance(made, ast.Call):
            for extra in extras:
                name, _, value = extra.partition("=")
                made.keywords.append(ast.keyword(name, ast.parse(value, mode="eval").body))
        return made


def signature(source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef, extras: tuple[str, ...]) -> Edit:
    """The edit that gives a function more arguments, by name."""
    spec = copy.deepcopy(node.args)
    spec.kwonlyargs += [ast.arg(name) for name in extras]
    spec.kw_defaults += [None] * len(extras)
    start = source.raw.index(b"(", source.start(node) + source.raw[source.start(node) :].index(b"def "))
    end = _closing(source.raw, start)
    return Edit(start=start, end=end + 1, text=f"({ast.unparse(spec)})")


def _closing(raw: bytes, start: int) -> int:
    """Where the bracket opened at `start` is closed."""
    depth, quote, at = 0, b"", start
    while at < len(raw):
        sign = raw[at : at + 1]
        if quote:
            if sign == b"\\":
                at += 1
            elif raw.startswith(quote, at):
                at += len(quote) - 1
                quote = b""
        elif sign in {b'"', b"'"}:
            quote = raw[at : at + 3] if raw[at : at + 3] in {b'"""', b"'''"} else sign
            at += len(quote) - 1
        elif sign == b"#":
            at = raw.index(b"\n", at)
        elif sign in {b"(", b"[", b"{"}:
            depth += 1
        elif sign in {b")", b"]", b"}"}:
            depth -= 1
            if not depth:
                return at
        at += 1
    return start
