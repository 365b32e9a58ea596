"""Notebook and Cell: what every form of notebook is read into, and all that the rest of the room knows of files.

Made by `read.py`; taken by dataflow, rules, run and convert. Outputs have the shape of nbformat 4 whatever was read.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

Form = Literal["ipynb", "percent", "marimo", "databricks"]
Kind = Literal["code", "markdown", "raw"]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One cell.

    Args:
        index: its place among all cells, from 0.
        kind: code, markdown or raw.
        source: its text; of a script, without comment marks.
        id: the cell's id, or made from its place when the file has none.
        tags: from the cell's metadata.
        count: the execution count of code that ran.
        outputs: in the shape of nbformat 4.
        language: of a code cell; another than the notebook's by `%%bash`, `%sql` and the like.
        line: the line of a script at which the source begins, from 1; 1 in a notebook.
        metadata: as the file has it.
    """

    index: int
    kind: Kind
    source: str
    id: str = ""
    tags: tuple[str, ...] = ()
    count: int | None = None
    outputs: tuple[dict[str, Any], ...] = ()
    language: str = "python"
    line: int = 1
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call it: its place from 1, as editors count."""
        return f"cell {self.index + 1}"


class Notebook(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A notebook, whatever its form.

    Args:
        path: the file it was read from.
        form: what kind of file that is.
        cells: in the order of the file.
        kernel: the name of its kernel; empty when the file has none.
        language: lower case, such as python or r.
        metadata: as the file has it.
        nbformat: major and minor version; (0, 0) of a script.
    """

    path: Path
    form: Form
    cells: tuple[Cell, ...]
    kernel: str = ""
    language: str = "python"
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    nbformat: tuple[int, int] = (0, 0)

    @functools.cached_property
    def code(self) -> tuple[Cell, ...]:
        """The code cells written in Python."""
        return tuple(cell for cell in self.cells if cell.kind == "code" and cell.language == "python")


def joined(text: Any) -> str:
    """Text that a file may hold as one string or as a list of lines."""
    if isinstance(text, str):
        return text
    return "".join(part for part in text if isinstance(part, str)) if isinstance(text, list | tuple) else ""


def output_texts(output: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What an output says: (media type, text), images and other bytes left out."""
    kind = output.get("output_type")
    if kind == "stream":
        yield "text/plain", joined(output.get("text", ""))
    elif kind == "error":
        yield "text/plain", "\n".join(str(line) for line in output.get("traceback") or ()) or str(output.get("evalue"))
    else:
        for media, value in (output.get("data") or {}).items():
            if media.startswith("text/") or media == "application/javascript":
                yield media, joined(value)
            elif isinstance(value, dict):  # JSON, as of widgets and charts
                yield media, msgspec.json.encode(value).decode()
