"""Notebooks written for tests: cells as texts, in the shape of nbformat 4.5."""

import json
from pathlib import Path
from typing import Any

from roadworthy.notebooks.notebook import Notebook
from roadworthy.notebooks.read import read


def document(*cells: str, tags: dict[int, list[str]] | None = None, language: str = "python") -> dict[str, Any]:
    """A notebook's JSON; texts that begin with `# ` alone on a line and `md:` are markdown."""
    made = []
    for n, text in enumerate(cells):
        metadata = {"tags": tags[n]} if tags and n in tags else {}
        if text.startswith("md:"):
            made.append({"cell_type": "markdown", "id": f"id{n}", "metadata": metadata, "source": text[3:]})
        else:
            made.append(
                {"cell_type": "code", "id": f"id{n}", "metadata": metadata, "source": text.splitlines(keepends=True),
                 "outputs": [], "execution_count": None}
            )  # fmt: skip
    info = {"kernelspec": {"display_name": "x", "language": language, "name": "python3" if language == "python" else "x"},
            "language_info": {"name": language}}  # fmt: skip
    return {"cells": made, "metadata": info, "nbformat": 4, "nbformat_minor": 5}


def write(path: Path, *cells: str, **more: Any) -> Notebook:
    """Write a notebook, and read it back."""
    path.write_text(json.dumps(document(*cells, **more), indent=1), "utf-8")
    return read(path)
