"""Read `roadworthy.toml`: find it, validate it strictly, and say where it is wrong, all of it at once.

In: a path. Out: a `Place`, or a `Fault` that names file, line, column, key, what is allowed and the nearest right key.
Called by every command. Whether rules are valid CEL and steps exist is for rooms above, which report through `fault`.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.nouns.errors import Fault, invalid
from roadworthy.nouns.project import Place, Project
from roadworthy.nouns.rule import Rule
from roadworthy.store import diagnosis, project_checks, toml_positions
from roadworthy.store.diagnosis import Problem

FILE = "roadworthy.toml"
SCHEMA_ID = "urn:roadworthy:project-file"
SIZE_MAX = 1 << 20
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def find(start: Path) -> Path | None:
    """The nearest `roadworthy.toml` at or above `start`."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    return None


def read(path: Path) -> Place:
    """The project at `path`.

    Raises:
        Fault: invalid, with all mistakes: line, column, what is allowed, and the nearest right key.
    """
    text = _text(path)
    table = _table(path, text)
    try:
        project = msgspec.convert(table, Project)
    except msgspec.ValidationError as problem:
        found = diagnosis.problems(table, Project) or [Problem(path=(), what=str(problem))]
        raise fault(path, found) from None
    wrong = project_checks.problems(project, table)
    if wrong:
        raise fault(path, wrong)
    return Place(root=path.parent.resolve(), project=project)


def fault(path: Path, found: Sequence[Problem]) -> Fault:
    """Problems of a project file as one fault, each with its line and column."""
    try:
        text = _text(path)
        spots = toml_positions.spots(text)
    except Fault:
        text, spots = "", {}
    shown = _shown(path)
    located = [(*_locate(text, spots, problem), problem) for problem in _unique(found)]
    located.sort(key=lambda item: item[:2])
    details = [
        {"line": line, "column": column, "key": key, "what": problem.what, "fix": problem.fix}
        for line, column, key, problem in located
    ]
    if len(located) == 1:
        line, column, key, problem = located[0]
        what = f"{key}: {problem.what}" if key else problem.what
        return invalid(what, where=f"{shown}:{line}:{column}", fix=problem.fix, detail={"problems": details})
    lines = [
        f"\n  {shown}:{line}:{column}: {key}{': ' if key else ''}{problem.what}"
        f"{chr(10) + '    ' + problem.fix if problem.fix else ''}"
        for line, column, key, problem in located
    ]
    return invalid(f"{len(located)} mistakes{''.join(lines)}", where=shown, detail={"problems": details})


def rules(project: Project) -> Iterator[tuple[diagnosis.Path, Rule]]:
    """Every CEL rule of a project with its path in the file, for rooms that know CEL."""
    groups: list[tuple[diagnosis.Path, tuple[Rule | str, ...]]] = [(("gate", "rules"), project.gate.rules)]
    groups += [(("release", n, "canary", "rules"), target.canary.rules) for n, target in project.release.items()]
    groups += [(("monitor", n, "rules"), monitor.rules) for n, monitor in project.monitor.items()]
    for path, written in groups:
        for place, rule in enumerate(written):
            yield (*path, place), Rule(rule=rule) if isinstance(rule, str) else rule


def schema() -> bytes:
    """The JSON Schema of the project file, generated from its types; shipped as `roadworthy.schema.json`."""
    made: dict[str, Any] = msgspec.json.schema(Project)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "roadworthy.toml",
        "description": "A Roadworthy project: data, pipeline, gate, releases and monitors of one model.",
    }
    _for_editors(made)
    return msgspec.json.format(msgspec.json.encode({**head, **made}), indent=2) + b"\n"


def _text(path: Path) -> str:
    where = _shown(path)
    try:
        content = path.read_bytes()
    except IsADirectoryError:
        raise invalid("this is a folder; the project file is a text file", where=where) from None
    except OSError as problem:
        raise invalid(f"the project file cannot be read: {problem.strerror}", where=where) from None
    if len(content) > SIZE_MAX:
        raise invalid(f"the project file is over {SIZE_MAX} bytes", where=where, fix="keep data in files of its own")
    try:
        # A byte order mark, which some editors write, is not part of the text.
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise invalid("the project file is not UTF-8", where=f"{where}:{line}", fix="save it as UTF-8") from None
    if not text.strip():
        raise invalid("the project file is empty", where=where, fix='begin with:\n    [project]\n    name = "my-model"')
    return text


def _table(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        said = str(problem)
        at = _AT.search(said)
        line, column = (at[1], at[2]) if at and at[1] else toml_positions.line_and_column(text, len(text))
        what, fix = _syntax(said[: at.start()] if at else said, text.split("\n")[int(line) - 1])
        where = f"{_shown(path)}:{line}:{column}"
        details = [{"line": int(line), "column": int(column), "key": "", "what": what, "fix": fix}]
        raise invalid(f"this is not TOML: {what}", where=where, fix=fix, detail={"problems": details}) from None
    except RecursionError:
        raise invalid("the project file is nested too deeply", where=_shown(path)) from None


def _syntax(said: str, line: str) -> tuple[str, str]:
    """What tomllib said and, for common mistakes, what to do about them."""
    if said.startswith(("Cannot overwrite", "Cannot declare", "Duplicate")):
        return f"{said[0].lower()}{said[1:]}: it is there already", "give each key and table once"
    if "Unescaped" in said:
        return said, r"in double quotes write \\ for \, or use single quotes: 'C:\data'"
    if said == "Invalid value" and re.fullmatch(r"\s*[\w.\"'-]+\s*=\s*[A-Za-z].*", line):
        name, _, value = line.partition("=")
        if value.strip() in {"True", "False"}:
            return said.lower(), f"write {value.strip().lower()}"
        return said.lower(), f'strings stand in quotes: {name.strip()} = "{value.strip()}"'
    return f"{said[0].lower()}{said[1:]}", ""


def _locate(text: str, spots: dict[diagnosis.Path, toml_positions.Spot], problem: Problem) -> tuple[int, int, str]:
    """Line, column and key of a problem; of a missing key, those of the nearest table around it."""
    path = problem.path
    while path and path not in spots:
        path = path[:-1]
    key = diagnosis.show_path(problem.path)
    if not path:
        return 1, 1, key
    exact = path == problem.path and not problem.on_key
    line, column = toml_positions.line_and_column(text, spots[path].value if exact else spots[path].key)
    return line, column, key


def _unique(found: Sequence[Problem]) -> list[Problem]:
    return list({(problem.path, problem.what): problem for problem in found}.values())


def _shown(path: Path) -> str:
    """The path as short as it can be said from here."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return str(path)
    return str(path) if relative.startswith(os.pardir) else relative


def _for_editors(node: Any) -> None:
    """Adapt the schema in place: editors need no guard against line breaks, and TOML knows no null."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            node["pattern"] = node["pattern"].removesuffix(r"(?!\n)")
        members = node.get("anyOf")
        if isinstance(members, list) and {"type": "null"} in members:
            node["anyOf"] = [member for member in members if member != {"type": "null"}]
            if node.get("default", 0) is None:
                del node["default"]
        for value in node.values():
            _for_editors(value)
    elif isinstance(node, list):
        for value in node:
            _for_editors(value)
