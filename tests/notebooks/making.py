"""Make notebooks for tests: cells in, a file out."""

import json
from pathlib import Path
from typing import Any

from roadworthy.notebooks.check import check
from roadworthy.notebooks.dataflow.flow import Flow, analyse
from roadworthy.notebooks.notebook import Notebook
from roadworthy.notebooks.read import read
from roadworthy.notebooks.rules.catalogue import chosen
from roadworthy.notebooks.rules.finding import Finding
from roadworthy.notebooks.rules.subject import Surroundings


def code(source: str, *, count: int | None = None, outputs: list[dict[str, Any]] | None = None, **metadata: Any):
    lines = source.splitlines(keepends=True)
    return {
        "cell_type": "code",
        "execution_count": count,
        "metadata": metadata,
        "outputs": outputs or [],
        "source": lines,
    }


def markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source.splitlines(keepends=True)}


def document(*cells: str | dict[str, Any], **metadata: Any) -> dict[str, Any]:
    made = [code(cell) if isinstance(cell, str) else cell for cell in cells]
    about = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}} | metadata
    return {"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}


def write(folder: Path, *cells: str | dict[str, Any], name: str = "made.ipynb", **metadata: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(document(*cells, **metadata), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return path


def notebook(folder: Path, *cells: str | dict[str, Any], **metadata: Any) -> Notebook:
    return read(write(folder, *cells, **metadata))


def flow(folder: Path, *cells: str | dict[str, Any]) -> Flow:
    return analyse(notebook(folder, *cells))


def findings(
    folder: Path, *cells: str | dict[str, Any], select: str = "", around: Surroundings | None = None, **metadata: Any
) -> list[Finding]:
    """What the rules that `select` names find in a notebook of these cells."""
    rules = chosen((select,) if select else ())
    return list(check(notebook(folder, *cells, **metadata), rules, around or Surroundings()))


def places(found: list[Finding]) -> list[tuple[int, int]]:
    """(cell from 0, line) of each finding."""
    return [(finding.cell, finding.line) for finding in found]
