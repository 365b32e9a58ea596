"""Rules about how a notebook was run: order, cells left out, cells that failed, cells that are no Python."""

import sys
from collections.abc import Iterator

from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject, cells_named


class SyntaxErrorInCell:
    """A cell is no Python.

    It cannot run, and nothing in it can be checked. Names that it would make are taken as unknown, so that the cells
    below are not blamed.

    Fix: correct the syntax, or make it a markdown or raw cell if it is not meant to run.
    """

    code, name = "RWN101", "syntax-error"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.flow.cells:
            if cell.error is not None and "raises-exception" not in subject.cell(cell.index).tags:
                message = f"this is no Python: {cell.error.message}{_newer(subject)}"
                yield subject.finding(self, cell.index, cell.error.line, message, fix="correct it")


class OutOfOrder:
    """Cells were run in another order than they stand in.

    The outputs that are saved come from that order. Whoever runs the notebook from top to bottom, and so every
    pipeline made of it, may get others, or an error.

    Fix: restart the kernel, run all cells, and save.
    """

    code, name = "RWN102", "out-of-order"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        before, before_at = 0, -1
        for cell in subject.notebook.cells:
            if cell.kind != "code" or not cell.count or not cell.source.strip():
                continue
            if cell.count < before:
                yield subject.finding(
                    self,
                    cell.index,
                    None,
                    f"this cell ran as number {cell.count}, before cell {before_at + 1} above it, number {before}",
                    fix="restart the kernel, run all cells and save",
                )
                return
            before, before_at = cell.count, cell.index


class NeverRun:
    """A cell was never run, though others were.

    Nobody has seen whether it works with the rest. Often it is left from an attempt, and hides that later cells need
    it, or do not.

    Fix: restart the kernel and run all cells; delete the cell if it is not needed.
    """

    code, name = "RWN103", "never-run"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if not subject.ran:
            return
        idle = [
            cell.index
            for cell in subject.notebook.code
            if cell.count is None and not cell.outputs and _has_code(cell.source)
        ]
        if not idle:
            return
        told = "this cell was" if len(idle) == 1 else f"{cells_named(idle)} were"
        yield subject.finding(
            self, idle[0], None, f"{told} never run, though others were", fix="run all cells, or delete it"
        )


class FailedCell:
    """A saved output is an error.

    The notebook stopped there when it was last run: what stands below was made by an earlier run, or not at all.

    Fix: correct the cell and run all; tag the cell `raises-exception` when the error is meant to be shown.
    """

    code, name = "RWN107", "failed"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.notebook.cells:
            if not cell.outputs or "raises-exception" in cell.tags:
                continue
            for output in cell.outputs:
                if output.get("output_type") == "error":
                    what = f"{output.get('ename', 'error')}: {output.get('evalue', '')}".splitlines()[0][:120]
                    yield subject.of_output(
                        self, cell.index, f"this cell failed when it was last run: {what}", fix="correct it and run all"
                    )
                    break


class AsksForInput:
    """A cell waits for somebody to type.

    Headless, nobody does: the run stops there with an error, or waits until its time limit.

    Fix: make it a parameter (a cell tagged `parameters`), or read a secret from an environment variable.
    """

    code, name = "RWN113", "asks-for-input"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for call in subject.calls:
            if call.name in _ASKING and call.name not in call.cell.functions:
                yield subject.finding(
                    self,
                    call.cell.index,
                    call.node,
                    f"`{call.name}()` waits for somebody to type",
                    fix="make it a parameter, or an environment variable if it is secret",
                )


class OtherLanguage:
    """The notebook is not written in Python.

    Only what needs no reading of code is checked: the order of execution, outputs, secrets, personal data.

    Fix: nothing needs fixing; convert it to Python if it is to become a pipeline.
    """

    code, name = "RWN100", "other-language"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.notebook.language != "python" and subject.notebook.cells:
            yield subject.finding(
                self,
                0,
                None,
                f"the notebook is written in {subject.notebook.language}: its code is not read",
                fix="a pipeline needs Python",
            )


_ASKING = frozenset({"input", "raw_input", "getpass.getpass"})


def _newer(subject: Subject) -> str:
    """That the notebook's Python is newer than the one that reads it, which may not know its syntax."""
    about = subject.notebook.metadata.get("language_info")
    written = str(about.get("version", "")) if isinstance(about, dict) else ""
    numbers = tuple(int(part) for part in written.split(".")[:2] if part.isdigit())
    here = sys.version_info[:2]
    return f" (read as Python {here[0]}.{here[1]}; the kernel's is {written})" if numbers > here else ""


def _has_code(source: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in source.split("\n"))


RULES = (OtherLanguage(), SyntaxErrorInCell(), OutOfOrder(), NeverRun(), FailedCell(), AsksForInput())
