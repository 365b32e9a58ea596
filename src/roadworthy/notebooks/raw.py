"""Where cells stand in the text of a notebook's file, so that a fix changes no other byte, and reports name its lines.

In: the text of a `.ipynb`. Out: for each cell the span of its source. Called by `fix.py`, `sarif.py` and the command.
"""

import bisect
import json
import re
from typing import NamedTuple

from roadworthy.nouns.errors import invalid

_SPACE = re.compile(r"[ \t\r\n]*")
_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_PLAIN = re.compile(r"[^,\]}\s]+")
_SOURCES = ("source", "input")
DEPTH_MAX = 200


class CellSpan(NamedTuple):
    """Where a cell stands: the whole object, its source, and the lines of that when they are a list."""

    start: int
    end: int
    source_start: int
    source_end: int
    parts: tuple[tuple[int, int], ...] | None


def cell_spans(text: str) -> list[CellSpan]:
    """The spans of a notebook's cells, in order.

    Raises:
        Fault: invalid when the text is no notebook.
    """
    scan = _Scan(text)
    try:
        scan.value(0, ())
    except (IndexError, ValueError, RecursionError):
        raise invalid("it is no notebook that could be changed in place") from None
    return scan.cells


def file_lines(text: str) -> list[list[int]]:
    """For each cell, the line of the file (from 1) at which each line of its source stands."""
    starts = [0]
    starts += [found.end() for found in re.finditer("\n", text)]

    def line_at(offset: int) -> int:
        return bisect.bisect_right(starts, offset)

    result: list[list[int]] = []
    for cell in cell_spans(text):
        lines: list[int] = []
        for start, end in cell.parts if cell.parts is not None else ((cell.source_start, cell.source_end),):
            part = json.loads(text[start:end], strict=False) if text[start] == '"' else ""
            count = part.count("\n") + (not part.endswith("\n"))
            lines += [line_at(start)] * max(count, 1)
        result.append(lines or [line_at(cell.source_start)])
    return result


def encoded(source: str, text: str, span: CellSpan) -> str:
    """A new source, written as the old one is: list or text, its indentation, its way with letters beyond ASCII."""
    old = text[span.source_start : span.source_end]
    ascii_only = old.isascii() and "\\u" in old
    if span.parts is None:
        return json.dumps(source, ensure_ascii=ascii_only)
    lines = source.splitlines(keepends=True) if source else []
    written = [json.dumps(line, ensure_ascii=ascii_only) for line in lines]
    if not written:
        return "[]"
    if "\n" not in old:
        return "[" + ", ".join(written) + "]"
    begins = text.rfind("\n", 0, span.parts[0][0]) + 1 if span.parts else 0
    indent = _SPACE.match(text, begins)
    inner = indent[0] if indent else "    "
    closes = text.rfind("\n", 0, span.source_end) + 1
    outer = _SPACE.match(text, closes)
    return "[\n" + ",\n".join(inner + line for line in written) + "\n" + (outer[0] if outer else "") + "]"


class _Scan:
    """Goes through JSON once and notes where cells are."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.cells: list[CellSpan] = []

    def value(self, at: int, path: tuple[str | int, ...]) -> int:
        """Pass a value; the offset behind it."""
        at = self.space(at)
        first = self.text[at]
        if first == '"':
            return self.string(at)
        if first == "{":
            return self.object(at, path)
        if first == "[":
            return self.array(at, path)[0]
        found = _PLAIN.match(self.text, at)
        if found is None:
            raise ValueError
        return found.end()

    def object(self, at: int, path: tuple[str | int, ...]) -> int:
        is_cell = len(path) >= 2 and path[-2] == "cells" and len(path) in {2, 4}
        start, source = at, None
        at = self.space(at + 1)
        while self.text[at] != "}":
            end = self.string(at)
            key = json.loads(self.text[at:end])
            at = self.space(self.space(end) + 1)
            begins = at
            if is_cell and key in _SOURCES:
                parts = None
                if self.text[at] == "[":
                    at, parts = self.array(at, (*path, key))
                else:
                    at = self.value(at, (*path, key))
                source = (begins, at, parts)
            else:
                at = self.value(at, (*path, key) if len(path) < DEPTH_MAX else path)
            at = self.comma(at)
        if is_cell:
            begins, ends, parts = source or (at, at, None)
            self.cells.append(CellSpan(start, at + 1, begins, ends, tuple(parts) if parts is not None else None))
        return at + 1

    def array(self, at: int, path: tuple[str | int, ...]) -> tuple[int, list[tuple[int, int]]]:
        parts: list[tuple[int, int]] = []
        at = self.space(at + 1)
        while self.text[at] != "]":
            end = self.value(at, (*path, len(parts)))
            parts.append((at, end))
            at = self.comma(end)
        return at + 1, parts

    def string(self, at: int) -> int:
        found = _TEXT.match(self.text, at)
        if found is None:
            raise ValueError
        return found.end()

    def space(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def comma(self, at: int) -> int:
        at = self.space(at)
        return self.space(at + 1) if self.text[at] == "," else at
