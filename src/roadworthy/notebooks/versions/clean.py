"""Strip what passes from a notebook: outputs, counts, and metadata that only say how it was last looked at.

In: a notebook's bytes. Out: the same notebook's bytes without them, in the layout it had; the very same bytes when
there is nothing to strip. Called by `rw notebook clean`, as git's filter too; `diff.py` asks what of metadata lasts.
"""

import json
from typing import Any

import msgspec

from roadworthy.nouns.errors import Fault, invalid

# Outputs of a cell with this tag (or metadata of this name) stay.
KEEP = "keep_output"
# Metadata that a tool writes about a look, a run or a place; gone in the next.
_OF_CELL = frozenset(
    {"ExecuteTime", "collapsed", "execution", "heading_collapsed", "hidden", "jupyter.outputs_hidden", "papermill",
     "roadworthy", "scrolled", "trusted", "pycharm", "outputId", "colab.outputId", "executionInfo"}
)  # fmt: skip
_OF_NOTEBOOK = frozenset(
    {"signature", "widgets", "papermill", "roadworthy", "varInspector", "toc", "vscode.interpreter", "vp",
     "language_info.version", "language_info.codemirror_mode", "language_info.pygments_lexer",
     "language_info.nbconvert_exporter", "language_info.file_extension", "language_info.mimetype",
     "kernelspec.display_name"}
)  # fmt: skip
# What the format asks a notebook to have stays in the file, though a difference of two does not show it.
_REQUIRED = frozenset(
    {"kernelspec.display_name", "language_info.file_extension", "language_info.mimetype",
     "language_info.codemirror_mode", "language_info.pygments_lexer", "language_info.nbconvert_exporter"}
)  # fmt: skip


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What stays though it passes: outputs, counts."""

    outputs: bool = False
    counts: bool = False


def clean(content: bytes, *, where: str, kept: Kept | None = None) -> bytes:
    """A notebook without what passes.

    Args:
        content: an .ipynb file, nbformat 3 or 4.
        where: what it is called, for messages.
        kept: what stays.

    Raises:
        Fault: invalid when it is no notebook.
    """
    text = content.removeprefix(b"\xef\xbb\xbf")
    document = _decoded(text, where)
    kept = kept or Kept()
    changed = [_clean_cell(cell, kept) for cell in _cells(document, where)]
    metadata = document.get("metadata")
    if isinstance(metadata, dict):
        changed.append(_put(document, "metadata", lasting(metadata, of_notebook=True, in_file=True)))
    return _laid_out(document, text) if any(changed) else content


def lasting(metadata: dict[str, Any], *, of_notebook: bool = False, in_file: bool = False) -> dict[str, Any]:
    """Metadata without what passes.

    Args:
        of_notebook: it is the notebook's, not a cell's.
        in_file: what the format asks for stays.
    """
    passing = (_OF_NOTEBOOK - _REQUIRED if in_file else _OF_NOTEBOOK) if of_notebook else _OF_CELL
    found: dict[str, Any] = {}
    for name, value in metadata.items():
        if name in passing:
            continue
        inner = {key.partition(".")[2] for key in passing if key.startswith(f"{name}.")}
        if inner and isinstance(value, dict):
            left = {key: child for key, child in value.items() if key not in inner}
            if left or not value:
                found[name] = left
        else:
            found[name] = value
    return found


def _clean_cell(cell: dict[str, Any], kept: Kept) -> bool:
    """Strip a cell; whether there was anything to strip."""
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    tags = metadata.get("tags")
    stays = kept.outputs or bool(metadata.get(KEEP)) or (isinstance(tags, list) and KEEP in tags)
    changed = _put(cell, "metadata", lasting(metadata)) if "metadata" in cell else False
    if cell.get("cell_type") != "code":
        return changed
    if not stays and cell.get("outputs"):
        changed |= _put(cell, "outputs", [])
    if not kept.counts:
        for name in ("execution_count", "prompt_number"):
            changed |= cell.get(name) is not None and _put(cell, name, None)
        for output in cell.get("outputs") or ():
            if isinstance(output, dict) and output.get("execution_count") is not None:
                changed |= _put(output, "execution_count", None)
    return changed


def _put(table: dict[str, Any], name: str, value: Any) -> bool:
    if table[name] == value:
        return False
    table[name] = value
    return True


def _cells(document: dict[str, Any], where: str) -> list[dict[str, Any]]:
    sheets = [document] if "cells" in document else document.get("worksheets")
    if not isinstance(sheets, list) or not isinstance(document.get("nbformat"), int):
        raise _no_notebook("it has no `cells`", where)
    found: list[dict[str, Any]] = []
    for sheet in sheets:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        if not isinstance(cells, list):
            raise _no_notebook("its `cells` are no list", where)
        for place, cell in enumerate(cells):
            if not isinstance(cell, dict):
                raise _no_notebook(f"cell {place + 1} is no object", where)
            found.append(cell)
    return found


def _decoded(text: bytes, where: str) -> dict[str, Any]:
    try:
        # Python's own decoder: it takes NaN, which charts write, and keeps whole numbers of any length.
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise _no_notebook(f"its JSON cannot be read ({problem})", where) from None
    if not isinstance(document, dict):
        raise _no_notebook("its JSON is no object", where)
    return document


def _laid_out(document: dict[str, Any], before: bytes) -> bytes:
    """JSON as the file has it: its indent, its letters, its end."""
    second = before[before.find(b"\n") + 1 :] if b"\n" in before.strip() else b""
    indent = len(second) - len(second.lstrip(b" ")) if second else None
    tabs = second.startswith(b"\t")
    text = json.dumps(
        document, indent="\t" if tabs else indent or None, ensure_ascii=before.isascii() and b"\\u" in before
    )
    if b"\r\n" in before:
        text = text.replace("\n", "\r\n")
    end = before[len(before.rstrip()) :]
    return text.encode("utf-8", "surrogatepass") + end


def _no_notebook(why: str, where: str) -> Fault:
    return invalid(
        f"it is not a notebook: {why}", where=where, fix="nothing was changed; `rw notebook check` says more"
    )
