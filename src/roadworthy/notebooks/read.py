"""Read a notebook, whatever its form.

In: a path. Out: a `Notebook`, or a Fault that says what is wrong with the file and where. Called by everything in this
room that starts from a file. Notebooks are decoded by msgspec, without nbformat, because checking has to be fast;
scripts are divided into cells by `scripts.py`.
"""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.notebooks import scripts
from roadworthy.notebooks.languages import cell_language
from roadworthy.notebooks.notebook import Cell, Notebook, joined
from roadworthy.nouns.errors import Fault, invalid, not_found

SIZE_MAX_BYTES = 1 << 30
MAJORS = (3, 4)
SUFFIXES = (".ipynb", ".py", ".sql", ".scala", ".r")


def read(path: Path) -> Notebook:
    """The notebook in a file.

    Raises:
        Fault: not found; or invalid when it is no notebook, is cut off, damaged, too large or of an unknown version.
    """
    content = _content(path)
    if path.suffix.lower() == ".ipynb" or content.lstrip()[:1] == b"{":
        return _from_json(path, content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise invalid(
            f"it is not text: byte {problem.start + 1} is no UTF-8", where=str(path), fix="name a notebook or a script"
        ) from None
    return scripts.divide(path, text)


def is_notebook(path: Path) -> bool:
    """Whether a file found in a folder is taken for a notebook: every .ipynb, and scripts with marks of cells."""
    if path.suffix == ".ipynb":
        return True
    if path.suffix not in SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            return scripts.form_of(file.read(scripts.HEAD_BYTES).decode("utf-8", "replace")) is not None
    except OSError:
        return False


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise invalid("it is not a file", where=str(path), fix="name a notebook, or a folder with some")
            if found.st_size > SIZE_MAX_BYTES:
                raise invalid(
                    f"it holds {found.st_size / 1e6:,.0f} MB; at most {SIZE_MAX_BYTES / 1e6:,.0f} MB are read",
                    where=str(path),
                    fix="strip its outputs: rw notebook clean",
                )
            with open(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise not_found("there is no such file", where=str(path)) from None
    except OSError as problem:
        raise invalid(f"it cannot be read: {problem.strerror}", where=str(path)) from None


def _from_json(path: Path, content: bytes) -> Notebook:
    if not content.strip():
        raise invalid("the file is empty", where=str(path), fix='an empty notebook has at least {"cells": [], …}')
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        document = _with_nan(content)
        if document is None:
            raise _damaged(path, content, problem) from None
    if not isinstance(document, dict):
        raise _no_notebook(path, "its JSON is no object")
    major, minor = document.get("nbformat"), document.get("nbformat_minor", 0)
    if not isinstance(major, int) or isinstance(major, bool):
        raise _no_notebook(path, "it has no `nbformat`")
    if major not in MAJORS:
        raise invalid(
            f"nbformat {major} is not read; 3 and 4 are",
            where=str(path),
            fix="convert it: jupyter nbconvert --to notebook",
        )
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    language, kernel = _language(metadata)
    raw_cells = _raw_cells(path, document, major)
    databricks = "application/vnd.databricks.v1+notebook" in metadata
    cells = tuple(
        _cell(path, place, raw, language, major=major, databricks=databricks) for place, raw in enumerate(raw_cells)
    )
    return Notebook(
        path=path,
        form="ipynb",
        cells=cells,
        kernel=kernel,
        language=language,
        metadata=metadata,
        nbformat=(major, minor if isinstance(minor, int) else 0),
    )


def _with_nan(content: bytes) -> Any:
    """Charts leave NaN and Infinity in outputs: no JSON, but Jupyter reads and writes them; None if that is not it."""
    if b"NaN" not in content and b"Infinity" not in content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _raw_cells(path: Path, document: dict[str, Any], major: int) -> list[Any]:
    if major == 3:
        sheets = document.get("worksheets")
        if not isinstance(sheets, list):
            raise _no_notebook(path, "it has no `worksheets`")
        cells = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
        return [cell for several in cells if isinstance(several, list) for cell in several]
    found = document.get("cells")
    if not isinstance(found, list):
        raise _no_notebook(path, "it has no `cells`")
    return found


def _language(metadata: dict[str, Any]) -> tuple[str, str]:
    """(language, kernel); Python when the file does not say."""
    spec, info = metadata.get("kernelspec"), metadata.get("language_info")
    spec = spec if isinstance(spec, dict) else {}
    info = info if isinstance(info, dict) else {}
    kernel = str(spec.get("name") or metadata.get("name") or "")
    named = info.get("name") or spec.get("language")
    spoken = {str(each).lower() for each in (info.get("name"), spec.get("language")) if each}
    if len(spoken) > 1 and not any("python" in each for each in spoken):
        named = spec["language"]  # .NET's kernels call every language C#
    if not named and isinstance(metadata.get("jupytext"), dict):
        named = metadata["jupytext"].get("main_language")
    if not named:
        databricks = metadata.get("application/vnd.databricks.v1+notebook")
        named = databricks.get("language") if isinstance(databricks, dict) else None
    if not named:
        named = {"ir": "r", "irkernel": "r"}.get(kernel.lower()) or (
            "julia" if kernel.lower().startswith("julia") else "python"
        )
    language = str(named).lower()
    return ("python" if language in {"ipython", "python3", "pyspark"} else language), kernel


def _cell(path: Path, index: int, raw: Any, language: str, *, major: int, databricks: bool) -> Cell:
    if not isinstance(raw, dict) or not isinstance(raw.get("cell_type"), str):
        raise _no_notebook(path, f"cell {index + 1} has no `cell_type`")
    kind = raw["cell_type"]
    metadata = raw.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    source = joined(raw.get("input", raw.get("source", "")) if major == 3 else raw.get("source", ""))
    if kind == "heading":  # nbformat 3
        level = raw.get("level")
        kind, source = "markdown", f"{'#' * (level if isinstance(level, int) else 1)} {source}"
    if kind not in {"code", "markdown", "raw"}:
        kind = "markdown" if kind in {"html", "rst", "text"} else "raw"
    tags = metadata.get("tags")
    identity = raw.get("id")
    if kind != "code":
        return Cell(
            index=index,
            kind=kind,
            source=source,
            id=identity if isinstance(identity, str) else f"cell-{index}",
            tags=tuple(t for t in tags if isinstance(t, str)) if isinstance(tags, list) else (),
            metadata=metadata,
        )
    count = raw.get("prompt_number") if major == 3 else raw.get("execution_count")
    outputs = raw.get("outputs")
    outputs = [o for o in outputs if isinstance(o, dict)] if isinstance(outputs, list) else []
    return Cell(
        index=index,
        kind="code",
        source=source,
        id=identity if isinstance(identity, str) else f"cell-{index}",
        tags=tuple(t for t in tags if isinstance(t, str)) if isinstance(tags, list) else (),
        count=count if isinstance(count, int) and not isinstance(count, bool) else None,
        outputs=tuple(_output_of_3(o) for o in outputs) if major == 3 else tuple(outputs),
        language=cell_language(source, metadata, language, databricks=databricks),
        metadata=metadata,
    )


# How nbformat 3 names what nbformat 4 calls by its media type.
_MEDIA_OF_3 = {
    "text": "text/plain", "html": "text/html", "svg": "image/svg+xml", "png": "image/png", "jpeg": "image/jpeg",
    "latex": "text/latex", "json": "application/json", "javascript": "application/javascript", "pdf": "application/pdf",
}  # fmt: skip


def _output_of_3(output: dict[str, Any]) -> dict[str, Any]:
    """An output of nbformat 3 as nbformat 4 writes it."""
    kind = output.get("output_type")
    if kind == "stream":
        return {"output_type": "stream", "name": output.get("stream", "stdout"), "text": output.get("text", "")}
    if kind == "pyerr":
        return {**output, "output_type": "error"}
    data = {media: output[key] for key, media in _MEDIA_OF_3.items() if key in output}
    named = "execute_result" if kind == "pyout" else "display_data"
    changed: dict[str, Any] = {"output_type": named, "data": data, "metadata": {}}
    if kind == "pyout":
        changed["execution_count"] = output.get("prompt_number")
    return changed


def _no_notebook(path: Path, why: str) -> Fault:
    return invalid(f"it is not a notebook: {why}", where=str(path), fix="name a notebook, such as analysis.ipynb")


def _damaged(path: Path, content: bytes, problem: Exception) -> Fault:
    """Why JSON does not decode: cut off, no text, a merge conflict, or wrong at a place."""
    if b"\x00" in content[:4096] or content[:2] in (b"PK", b"\x1f\x8b"):
        return invalid(
            "it is not a notebook but binary", where=str(path), fix="name a notebook, such as analysis.ipynb"
        )
    if b"\n<<<<<<< " in content:
        line = content[: content.index(b"\n<<<<<<< ")].count(b"\n") + 2
        return invalid(
            "it holds an unsolved merge conflict", where=f"{path}:{line}", fix="solve it; `rw notebook diff` shows both"
        )
    told = str(problem)
    if "truncated" in told:
        last = content[-120:].decode("utf-8", "replace").splitlines()
        return invalid(
            f"the file is cut off: its JSON ends in the middle, after {last[-1].strip()[-40:]!r}" if last else told,
            where=str(path),
            fix="restore it from version control or from .ipynb_checkpoints/",
        )
    place = re.search(r"byte (\d+)", told)
    line = content[: int(place[1])].count(b"\n") + 1 if place else 1
    return invalid(f"it is no JSON: {told}", where=f"{path}:{line}", fix="restore it from version control")
