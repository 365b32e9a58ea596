"""Findings for other programs: SARIF 2.1.0 and GitHub's annotations.

In: checked notebooks and the rules that were on. Out: a SARIF log as plain data, or lines of annotations. Called by
`rw notebook check --format`. Lines are those of the file, also inside a notebook's JSON, so that reviews show them.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from blake3 import blake3

from roadworthy.notebooks import raw
from roadworthy.notebooks.check import Checked
from roadworthy.notebooks.lessons import lesson
from roadworthy.notebooks.rules.finding import Finding
from roadworthy.notebooks.rules.rule import NotebookRule
from roadworthy.nouns.errors import Fault
from roadworthy.nouns.version import __version__

SARIF_VERSION = "2.1.0"
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warn": "warning", "note": "note"}
_COMMANDS = {"error": "error", "warn": "warning", "note": "notice"}


def sarif(checked: Iterable[Checked], rules: Sequence[NotebookRule]) -> dict[str, Any]:
    """A SARIF log of one run of the checker."""
    places = {rule.code: place for place, rule in enumerate(rules)}
    results: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for each in checked:
        uri = _uri(each.path)
        if each.problem is not None:
            failures.append(_failure(uri, each.problem))
        lines = Lines(each)
        results += [_result(finding, uri, lines, places) for finding in each.findings]
    driver = {
        "name": "Roadworthy",
        "semanticVersion": __version__,
        "informationUri": "https://github.com/roadworthy/roadworthy",
        "rules": [_rule(rule) for rule in rules],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": not failures, "toolExecutionNotifications": failures}],
        "results": results,
    }
    return {"$schema": SARIF_SCHEMA, "version": SARIF_VERSION, "runs": [run]}


def github(checked: Iterable[Checked]) -> Iterator[str]:
    """Findings as workflow commands, one a line, which GitHub shows beside the lines of a review."""
    for each in checked:
        name = _property(each.path.as_posix())
        if each.problem is not None:
            yield f"::error file={name},title=cannot be read::{_data(each.problem.what)}"
        lines = Lines(each)
        for finding in each.findings:
            first, last = lines.of(finding)
            title = _property(f"{finding.code} {finding.name}")
            place = f"file={name},line={first},endLine={last},title={title}"
            message = f"cell {finding.cell + 1}: {finding.message}. Fix: {finding.fix}"
            yield f"::{_COMMANDS[finding.severity]} {place}::{_data(message)}"


class Lines:
    """Lines of the file for lines of cells; found when the first finding asks."""

    def __init__(self, checked: Checked) -> None:
        self._notebook = checked.notebook
        self._path = checked.path
        self._known: list[list[int]] | None = None

    def of(self, finding: Finding) -> tuple[int, int]:
        """(first, last) line of the file that a finding is about."""
        notebook = self._notebook
        if notebook is None:
            return 1, 1
        if notebook.form != "ipynb":
            before = notebook.cells[finding.cell].line - 1
            return before + finding.line, before + finding.end_line
        if self._known is None:
            try:
                self._known = raw.file_lines(self._path.read_bytes().decode("utf-8-sig", "replace"))
            except (OSError, Fault):
                self._known = []
        lines = self._known[finding.cell] if finding.cell < len(self._known) else [1]
        last = len(lines) - 1
        return lines[min(finding.line - 1, last)], lines[min(finding.end_line - 1, last)]


def _rule(rule: NotebookRule) -> dict[str, Any]:
    taught = lesson(rule)
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": taught.title},
        "fullDescription": {"text": taught.why or taught.title},
        "help": {"text": taught.fix or taught.title, "markdown": f"{taught.why}\n\n**Fix:** {taught.fix}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, uri: str, lines: Lines, places: dict[str, int]) -> dict[str, Any]:
    first, last = lines.of(finding)
    region: dict[str, Any] = {"startLine": first, "endLine": last}
    if finding.text:
        region["snippet"] = {"text": finding.text}
    mark = blake3(f"{finding.code}\0{uri}\0{finding.id}\0{finding.message}".encode()).hexdigest()[:32]
    return {
        "ruleId": finding.code,
        **({"ruleIndex": places[finding.code]} if finding.code in places else {}),
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}. Fix: {finding.fix}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": uri}, "region": region},
                "logicalLocations": [{"name": f"cell {finding.cell + 1}", "kind": "member"}],
            }
        ],
        "partialFingerprints": {"roadworthy/v1": mark},
        "properties": {
            "cell": finding.cell + 1,
            "cellId": finding.id,
            "cellLine": finding.line,
            "cellColumn": finding.column,
            "part": finding.part,
        },
    }


def _failure(uri: str, problem: Fault) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": problem.what},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}}}],
    }


def _uri(path: Path) -> str:
    return quote(path.as_posix()) if not path.is_absolute() else path.as_uri()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
