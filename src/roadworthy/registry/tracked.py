"""What a step tracked, as lines in a folder: written by tracking in the step's process, read by the runner.

The runner applies the lines to the run, and again to every later run that reuses the step's output.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from roadworthy.nouns.errors import invalid
from roadworthy.nouns.run import MetricPoint
from roadworthy.registry import artifacts, metrics, runs
from roadworthy.store.store import Store

FILE = "tracked.jsonl"
FOLDER = "tracked"


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was tracked.

    Args:
        kind: what it is.
        key: the name of a metric, parameter or tag; the path of an artifact.
        value: of a metric (null is NaN), parameter or tag.
        step, at: of a metric.
        file: of an artifact: its copy, relative to the folder.
    """

    kind: Literal["metric", "param", "tag", "artifact"]
    key: str
    value: Any = None
    step: int = 0
    at: float = 0.0
    file: str = ""


def append(folder: Path, lines: list[Line]) -> None:
    """Add lines; each is whole on the disk's cache when this returns, so that a killed step keeps them."""
    text = b"".join(msgspec.json.encode(line, enc_hook=str) + b"\n" for line in lines)
    with (folder / FILE).open("ab", buffering=0) as file:
        file.write(text)


def append_artifact(folder: Path, path: str, content: bytes | Path) -> None:
    """Copy an artifact into the folder and add its line."""
    target = folder / FOLDER / path
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, target)
    else:
        target.write_bytes(content)
    append(folder, [Line(kind="artifact", key=path, file=f"{FOLDER}/{path}")])


def read(folder: Path) -> list[Line]:
    """The lines of a folder; a last line cut short by a kill is left out."""
    try:
        content = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(b"\n") + 1]
    try:
        return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]
    except msgspec.DecodeError as problem:
        raise invalid(f"what a step tracked cannot be read: {problem}", where=str(folder / FILE)) from None


def apply(store: Store, run_id: str, folder: Path) -> list[Line]:
    """Write what a folder holds to a run; the lines that were written."""
    lines = read(folder)
    write(store, run_id, lines, lambda line: contained(folder, line.file))
    return lines


def write(store: Store, run_id: str, lines: Sequence[Line], find: Callable[[Line], Path]) -> None:
    """Write tracked lines to a run; `find` says where the file of an artifact's line lies."""
    points = [
        MetricPoint(key=line.key, value=float("nan" if line.value is None else line.value), step=line.step, at=line.at)
        for line in lines
        if line.kind == "metric"
    ]
    if points:
        metrics.log(store, run_id, points)
    params = {line.key: line.value for line in lines if line.kind == "param"}
    tags = {line.key: str(line.value) for line in lines if line.kind == "tag"}
    if params or tags:
        runs.amend(store, run_id, params=params, tags=tags)
    for line in lines:
        if line.kind == "artifact":
            artifacts.keep(store, run_id, line.key, find(line))


def contained(folder: Path, file: str) -> Path:
    """A file of the folder, links followed.

    Raises:
        Fault: invalid when it lies outside.
    """
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise invalid("a tracked artifact lies outside its step's folder", where=file[:200])
    return path
