"""Rules about names: from nowhere, from below, from a deleted object, from several cells, through two names."""

import ast
from collections.abc import Iterator

from roadworthy.notebooks.dataflow.flow import Unresolved
from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject, cells_named


class UndefinedName:
    """A name is used that no cell makes.

    It works for the author only, whose kernel still holds what a deleted or changed cell once made. For everybody
    else, and for every pipeline, it is a NameError.

    Fix: write the cell that makes it again, or correct the name.
    """

    code, name = "RWN104", "undefined-name"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        gap = _gap(subject)
        for each in subject.flow.unresolved:
            if each.later is None and each.deleted is None and not _expected(subject, each):
                hidden = f"; {gap}" if gap else ""
                yield subject.finding(
                    self,
                    each.cell,
                    each.node,
                    f"`{each.name}` is made by no cell{_in_function(each)}{hidden}",
                    fix="write the cell that makes it again, or correct the name",
                )


class DefinedBelow:
    """A name is used above the cell that makes it.

    From top to bottom this is a NameError. It worked because the cell below ran first.

    Fix: move the cell that makes it above the one that uses it.
    """

    code, name = "RWN105", "defined-below"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for each in subject.flow.unresolved:
            if each.later is not None and not _expected(subject, each):
                here = f" when cell {each.called + 1} calls it" if each.called not in (None, each.cell) else ""
                yield subject.finding(
                    self,
                    each.cell,
                    each.node,
                    f"`{each.name}` is used{_in_function(each)}{here}, and made only in cell {each.later + 1} below",
                    fix=f"move cell {each.later + 1} up, or what it makes",
                )


class UsedAfterDelete:
    """A name is used after a cell above deleted it.

    From top to bottom this is a NameError. It worked because the cells ran in another order, or the deleting one did
    not run again.

    Fix: delete later, or make the name again.
    """

    code, name = "RWN106", "used-after-delete"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for each in subject.flow.unresolved:
            if each.deleted is not None and each.later is None and not _expected(subject, each):
                yield subject.finding(
                    self,
                    each.cell,
                    each.node,
                    f"`{each.name}` is used{_in_function(each)} after cell {each.deleted + 1} deleted it",
                    fix=f"delete it later than in cell {each.deleted + 1}, or make it again",
                )


class ManyMakers:
    """A name is made in several cells, and others read it.

    What they read depends on which of the makers ran last. From top to bottom that is clear; in a kernel that a person
    works in, it is not: run an earlier cell again, and cells below it quietly read something else.

    Fix: give each its own name (`raw`, `clean`, `scaled`), or make it in one cell.
    """

    code, name = "RWN108", "made-in-several-cells"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.notebook.form == "marimo":
            return
        makers: dict[str, list[int]] = {}
        for cell in subject.flow.cells:
            imported = {made.name for made in cell.imports}
            for name in cell.defines:
                if name not in imported and not name.startswith("_"):
                    makers.setdefault(name, []).append(cell.index)
        readers: dict[str, dict[int, set[int]]] = {}
        for edge in subject.flow.edges:
            if edge.kind == "defines" and len(makers.get(edge.name, ())) > 1:
                readers.setdefault(edge.name, {}).setdefault(edge.source, set()).add(edge.target)
        for name, by_source in readers.items():
            places = makers[name]
            outer = sorted({t for targets in by_source.values() for t in targets if t not in places})
            if len([s for s, targets in by_source.items() if targets]) < 2 or not outer:
                continue
            second = places[1]
            yield subject.finding(
                self,
                second,
                subject.flow.cell(second).defines[name],
                f"`{name}` is made in {cells_named(places)}: what {cells_named(outer)} read depends on which ran last",
                fix="give each its own name",
            )


class MadeTwiceInMarimo:
    """A marimo notebook makes a name in two cells, or two cells wait for each other.

    marimo runs a cell when what it reads has changed, so each name must have one cell that makes it, and no cell may
    depend on itself through others. It refuses to run these cells.

    Fix: rename one, prefix it with an underscore to keep it inside its cell, or join the cells.
    """

    code, name = "RWN114", "not-reactive"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        if subject.notebook.form != "marimo":
            return
        first: dict[str, int] = {}
        for cell in subject.flow.cells:
            for name, node in cell.defines.items():
                if name.startswith("_"):
                    continue
                if name in first:
                    yield subject.finding(
                        self,
                        cell.index,
                        node,
                        f"`{name}` is made in cell {first[name] + 1} too",
                        fix=f"rename it, or write `_{name}` if only this cell needs it",
                    )
                else:
                    first[name] = cell.index
        told: set[int] = set()
        for cell in subject.flow.cells:
            circle = subject.flow.upstream(cell.index) & subject.flow.downstream(cell.index)
            if circle and cell.index not in told:
                told |= circle | {cell.index}
                others = cells_named(sorted(circle - {cell.index}))
                yield subject.finding(
                    self,
                    cell.index,
                    None,
                    f"this cell and {others} wait for each other",
                    fix="join them, or divide one",
                )


class SharedObject:
    """An object has two names, and a cell changes it through one of them.

    `clean = raw` makes no copy. What changes `clean` changes `raw`, and a cell that reads `raw` gets the changed one.

    Fix: copy it: `clean = raw.copy()`.
    """

    code, name = "RWN110", "shared-object"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        told: set[tuple[str, str]] = set()
        for shared in subject.flow.shared:
            pair = (min(shared.name, shared.other), max(shared.name, shared.other))
            if pair in told or not _read_after(subject, shared.other, shared.cell):
                continue
            told.add(pair)
            yield subject.finding(
                self,
                shared.cell,
                shared.node if _is_here(subject, shared.cell, shared.node) else None,
                f"this changes `{shared.other}` too, which is the same object as `{shared.name}` and is read below",
                fix=f"copy it where `{shared.name}` or `{shared.other}` is made: `.copy()`",
            )


def _is_here(subject: Subject, index: int, node: object) -> bool:
    return any(change.node is node for change in subject.flow.cell(index).mutates.values())


def _read_after(subject: Subject, name: str, index: int) -> bool:
    return any(e.name == name and e.kind == "mutates" and e.source == index for e in subject.flow.edges)


def _in_function(each: Unresolved) -> str:
    return f" in `{each.function}`" if each.function else ""


def _expected(subject: Subject, each: Unresolved) -> bool:
    """Whether the notebook says that the cell fails, as documentation does, or asks whether the name is there."""
    return "raises-exception" in subject.cell(each.cell).tags or _is_asked_for(subject, each)


def _is_asked_for(subject: Subject, each: Unresolved) -> bool:
    """Whether a NameError is caught that the name may raise: `try: input = raw_input`, `except NameError: ...`."""
    tree = subject.flow.cell(each.cell).tree
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Try) and any(part is each.node for s in node.body for part in ast.walk(s)):
            types = [part for h in node.handlers if h.type for part in ast.walk(h.type)]
            caught = {part.id for part in types if isinstance(part, ast.Name)}
            alone = len(node.body) == 1 and isinstance(node.body[0], ast.Assign | ast.Expr)
            simple = alone and getattr(node.body[0], "value", None) is each.node
            if "NameError" in caught or (simple and node.handlers):
                return True
    return False


def _gap(subject: Subject) -> str:
    """What execution counts tell of cells that are gone."""
    counts = sorted(c.count for c in subject.notebook.cells if c.count)
    if not counts:
        return ""
    missing = counts[-1] - len(set(counts))
    if missing <= 0:
        return ""
    return f"{missing} of {counts[-1]} executions are of cells that were run again or are gone"


RULES = (UndefinedName(), DefinedBelow(), UsedAfterDelete(), ManyMakers(), SharedObject(), MadeTwiceInMarimo())
