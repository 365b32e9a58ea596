"""The executed notebook as a file: the original's JSON with new outputs, whatever else it says left as it is.

In: the notebook, and what was done about its cells. Out: JSON in the layout Jupyter writes. Called by `tracked.py` and
by `clean`. A script becomes a notebook of nbformat 4.5.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadworthy.notebooks.execute.cells import CellDone
from roadworthy.notebooks.notebook import Notebook
from roadworthy.nouns.errors import invalid

TIMES = "roadworthy"  # where a cell's metadata says what it took


def of(notebook: Notebook) -> dict[str, Any]:
    """The notebook as nbformat 4 has it; of nbformat 4, just as the file has it."""
    if notebook.form == "ipynb" and notebook.nbformat[0] == 4:
        content = notebook.path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        found: dict[str, Any] = json.loads(content)
        if len(found["cells"]) == len(notebook.cells):
            return found
    return {
        "cells": [_cell(notebook, index) for index in range(len(notebook.cells))],
        "metadata": _metadata(notebook),
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def filled(
    document: dict[str, Any], done: Mapping[int, CellDone], *, sources: Mapping[int, str], about: Mapping[str, Any]
) -> dict[str, Any]:
    """A document with what its cells did; those that were not run have no outputs.

    Args:
        document: as `of` made it; changed in place.
        sources: texts of cells that were run in another way than written (parameters).
        about: what the notebook's metadata should say of the execution.
    """
    for index, cell in enumerate(document["cells"]):
        if index in sources:
            cell["source"] = lines(sources[index])
        if cell.get("cell_type") != "code":
            continue
        cell["outputs"], cell["execution_count"] = [], None
        if index not in done:
            continue
        one = done[index]
        cell["outputs"] = [_laid_out(output) for output in one.ran.outputs]
        cell["execution_count"] = one.ran.count
        times = {"status": one.status, "wall_s": round(one.ran.wall_s, 4), "cpu_s": round(one.ran.cpu_s, 3)}
        times["memory_peak_mb"] = round(one.ran.memory_peak_mb, 1)
        cell.setdefault("metadata", {})[TIMES] = times
    document.setdefault("metadata", {})[TIMES] = dict(about)
    return document


def code_cell(source: str, tags: list[str], identity: str) -> dict[str, Any]:
    """A new code cell."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": identity,
        "metadata": {"tags": tags},
        "outputs": [],
        "source": lines(source),
    }


def text(document: dict[str, Any]) -> bytes:
    """The document in the layout Jupyter writes."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, keeping the rights of one that is there.

    Raises:
        Fault: invalid when it cannot be written.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise invalid(f"it cannot be written: {problem.strerror}", where=str(path)) from None


def lines(source: str) -> list[str]:
    """Text as a notebook's list of lines."""
    return source.splitlines(keepends=True)


def _laid_out(output: dict[str, Any]) -> dict[str, Any]:
    """An output with its texts as lists of lines, as Jupyter writes them."""
    laid = dict(output)
    if isinstance(laid.get("text"), str):
        laid["text"] = lines(laid["text"])
    if "data" in laid:
        laid["data"] = {
            media: lines(value) if isinstance(value, str) and not _is_bytes(media) else value
            for media, value in laid["data"].items()
        }
    return laid


def _is_bytes(media: str) -> bool:
    return media == "application/pdf" or (media.startswith("image/") and media != "image/svg+xml")


def _cell(notebook: Notebook, index: int) -> dict[str, Any]:
    cell = notebook.cells[index]
    made: dict[str, Any] = {
        "cell_type": cell.kind,
        "id": cell.id or f"cell-{index}",
        "metadata": {**cell.metadata, **({"tags": list(cell.tags)} if cell.tags else {})},
        "source": lines(cell.source),
    }
    if cell.kind == "code":
        made |= {"execution_count": cell.count, "outputs": [_laid_out(output) for output in cell.outputs]}
    return made


def _metadata(notebook: Notebook) -> dict[str, Any]:
    if notebook.form == "ipynb":
        return dict(notebook.metadata)
    name = notebook.kernel or "python3"
    return {
        "kernelspec": {"display_name": name, "language": notebook.language, "name": name},
        "language_info": {"name": notebook.language},
    }
