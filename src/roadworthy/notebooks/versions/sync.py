"""Keep a notebook and its script the same: whichever changed since they last agreed is written to the other.

In: the two paths, and a folder of ours in which the last agreement and what is replaced are kept. Out: what was done.
Called by `rw notebook sync`. The script is jupytext's percent format; outputs stay with cells that did not change. If
both changed nothing is written, unless one is named to be taken; nothing is ever replaced without a copy.
"""

import contextlib
import difflib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from roadworthy.notebooks.execute import document
from roadworthy.nouns.errors import conflict, invalid, not_found
from roadworthy.store.blobs import digest_of

STATE = "paired.json"
# What jupytext writes of metadata: enough to read, nothing that changes with a version of jupytext.
_FORMAT = {
    "extension": ".py",
    "format_name": "percent",
    "notebook_metadata_filter": "-all",
    "cell_metadata_filter": "tags,-all",
}

Side = Literal["notebook", "script"]
Done = Literal["nothing", "wrote script", "wrote notebook"]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook and its script, and the digest of what they said when they last agreed."""

    script: str
    digest: str


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """What was done.

    Args:
        notebook, script: the two.
        done: which was written.
        why: one sentence.
        copy: where what was replaced is kept.
    """

    notebook: Path
    script: Path
    done: Done
    why: str
    copy: Path | None = None


def sync(home: Path, notebook: Path, script: Path | None = None, *, take: Side | None = None) -> Synced:
    """Make the two the same.

    Args:
        home: our folder.
        notebook: may be missing, if the script is there.
        script: the one it is paired with, or the notebook's name with `.py`, unless given.
        take: which one is right when both changed.

    Raises:
        Fault: conflict when both changed; invalid when one cannot be read; not found when neither is there.
    """
    pairs = _pairs(home)
    name = str(notebook.resolve())
    known = pairs.get(name)
    if script is None:
        script = Path(known.script) if known else notebook.with_suffix(".py")
    if not notebook.is_file() and not script.is_file():
        raise not_found("there is neither a notebook nor a script", where=f"{notebook}, {script}")
    agreed = known.digest if known and Path(known.script) == script.resolve() else None
    found = _Sides(notebook, script)
    side, why = found.newer(agreed, take)
    copy = None
    done: Done = "nothing"
    if side is not None:
        copy = _keep(home, found.path(_other(side)))
        content = found.text_of_script() if side == "notebook" else found.text_of_notebook()
        document.write(found.path(_other(side)), content)
        done = "wrote script" if side == "notebook" else "wrote notebook"
    digest = digest_of(_said(found.cells(side or "notebook")))
    pairs[name] = Pair(script=str(script.resolve()), digest=digest)
    document.write(_state(home), msgspec.json.format(msgspec.json.encode(pairs), indent=1))
    return Synced(notebook=notebook, script=script, done=done, why=why, copy=copy)


class _Sides:
    """Both of a pair, as jupytext reads them."""

    def __init__(self, notebook: Path, script: Path) -> None:
        self._notebook, self._script = notebook, script
        self._a = _read_notebook(notebook) if notebook.is_file() else None
        self._b = _read_script(script) if script.is_file() else None

    def path(self, side: Side) -> Path:
        return self._notebook if side == "notebook" else self._script

    def cells(self, side: Side) -> list[tuple[str, str]]:
        """What a side says: kind and text of each cell."""
        found = self._a if side == "notebook" else self._b
        return [] if found is None else [(c.cell_type, c.source.strip("\n")) for c in found.cells if c.source.strip()]

    def newer(self, agreed: str | None, take: Side | None) -> tuple[Side | None, str]:
        """Which side is written to the other, and why; None when they agree."""
        if self._b is None:
            return "notebook", "there was no script"
        if self._a is None:
            return "script", "there was no notebook"
        if self.cells("notebook") == self.cells("script"):
            return None, "they say the same"
        if take is not None:
            return take, f"the {take} was to be taken"
        changed = {side for side in ("notebook", "script") if digest_of(_said(self.cells(side))) != agreed}
        if agreed is not None and changed == {"notebook", "script"}:
            raise conflict(
                f"both changed since they last agreed: {self._first_difference()}",
                where=f"{self._notebook}, {self._script}",
                fix="make them agree by hand, or say which is right: --take notebook, --take script",
            )
        if agreed is not None:
            side: Side = "notebook" if changed == {"notebook"} else "script"
            return side, f"the {side} changed"
        times = {side: self.path(side).stat().st_mtime_ns for side in ("notebook", "script")}
        side = "notebook" if times["notebook"] >= times["script"] else "script"
        return side, f"they were never paired here, and the {side} is newer"

    def text_of_script(self) -> bytes:
        with _quickly():
            import jupytext

        text: str = jupytext.writes(self._a, fmt=dict(_FORMAT))
        return text.encode()

    def text_of_notebook(self) -> bytes:
        with _quickly():
            import nbformat
            from jupytext.combine import combine_inputs_with_outputs

        made: Any = self._b
        if self._a is not None:
            made = combine_inputs_with_outputs(made, self._a, fmt=dict(_FORMAT))
            made.metadata = self._a.metadata
        else:
            made.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
        made.metadata.pop("jupytext", None)
        text: str = nbformat.writes(made, version=4)
        return (text.rstrip("\n") + "\n").encode("utf-8", "surrogatepass")

    def _first_difference(self) -> str:
        a, b = self.cells("notebook"), self.cells("script")
        for op, start, end, other, last in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
            if op != "equal":
                said = (a[start:end] or b[other:last])[0][1].strip().splitlines()
                return f"cell {start + 1} ({said[0][:60] if said else 'empty'})"
        return "their cells"


def _read_notebook(path: Path) -> Any:
    with _quickly():
        import nbformat

    try:
        return nbformat.reads(path.read_text("utf-8-sig"), as_version=4)
    except Exception as problem:  # of many kinds; nothing has been written
        raise invalid(f"it is not a notebook: {str(problem).strip().splitlines()[0][:200]}", where=str(path)) from None


def _read_script(path: Path) -> Any:
    with _quickly():
        import jupytext

    try:
        text = path.read_text("utf-8-sig")
        if "# %%" not in text:
            raise invalid(
                "the script has no cells (`# %%`), so it cannot be kept the same as a notebook",
                where=str(path),
                fix="name another: --script notebook_cells.py; for a pipeline, `rw notebook convert`",
            )
        return jupytext.reads(text, fmt=dict(_FORMAT))
    except (UnicodeDecodeError, ValueError, SyntaxError) as problem:
        raise invalid(f"it cannot be read as a percent script: {problem}", where=str(path)) from None


@contextlib.contextmanager
def _quickly() -> Iterator[None]:
    """Let jupytext and nbformat come without what they would load beside, and we do not use.

    Where Jupyter's server is installed that is the server itself, and a grammar that takes seconds to be made.
    """
    apart = [name for name in ("jupyter_server", "rfc3987_syntax") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(apart))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in apart:
            del sys.modules[name]


def _said(cells: list[tuple[str, str]]) -> bytes:
    return msgspec.json.encode(cells)


def _other(side: Side) -> Side:
    return "script" if side == "notebook" else "notebook"


def _state(home: Path) -> Path:
    folder = home / "sync"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / STATE


def _pairs(home: Path) -> dict[str, Pair]:
    try:
        return msgspec.json.decode(_state(home).read_bytes(), type=dict[str, Pair])
    except (OSError, msgspec.DecodeError):
        return {}


def _keep(home: Path, path: Path) -> Path | None:
    """A copy of what is about to be replaced."""
    if not path.is_file():
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(path.stat().st_mtime))
    target = _state(home).parent / f"{path.stem}.{stamp}.{os.urandom(2).hex()}{path.suffix}"
    target.write_bytes(path.read_bytes())
    return target
