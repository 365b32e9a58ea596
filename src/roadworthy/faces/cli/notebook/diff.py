"""`rw notebook diff`: how two versions of a notebook differ, cell by cell, outputs aside."""

import tempfile
from pathlib import Path

import click
import msgspec

from roadworthy.faces.cli import output
from roadworthy.notebooks import read
from roadworthy.notebooks.notebook import Notebook
from roadworthy.notebooks.versions import diff, git
from roadworthy.nouns.errors import Fault, invalid

EXIT_DIFFERENT = 1
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_NOTHING = "/dev/null"  # what git names for a file that is not there


@click.command(
    name="diff",
    epilog="""\b
Examples:
  rw notebook diff a.ipynb b.ipynb
  rw notebook diff train.ipynb               what you changed since the last commit
  rw notebook diff HEAD~1 train.ipynb        since a revision
  rw notebook diff v1.0 v1.1 train.ipynb     between two
  rw notebook diff train.ipynb train.py      a notebook and its script

\b
`rw notebook clean --install` makes `git diff` show notebooks like this.""",
)
@click.argument("versions", metavar="[A] B", nargs=-1, required=True)
@click.option("--exit-code", is_flag=True, help="End with exit code 1 if they differ.")
@click.option("--driver", is_flag=True, hidden=True, help="Take the arguments git gives to a diff driver.")
@output.json_option
def command(*, versions: tuple[str, ...], exit_code: bool, driver: bool, as_json: bool) -> int:
    """Show how two notebooks, or two versions of one, differ.

    Cells are paired by text, id and likeness, so that one that moved is not shown as new. Outputs, counts and metadata
    of tools do not count.
    """
    if driver:
        return _for_git(versions)
    a, b = _both(versions)
    found = diff.compare(a, b)
    if as_json:
        output.print_json(found)
    elif found.is_empty:
        output.say("no difference, outputs aside")
    else:
        _show(found)
    return EXIT_DIFFERENT if exit_code and not found.is_empty else 0


def _both(versions: tuple[str, ...]) -> tuple[Notebook, Notebook]:
    match versions:
        case (path,):
            return _of_revision("HEAD", Path(path)), read.read(Path(path))
        case (first, path) if Path(first).is_file():
            return read.read(Path(first)), read.read(Path(path))
        case (revision, path):
            return _of_revision(revision, Path(path)), read.read(Path(path))
        case (old, new, path):
            return _of_revision(old, Path(path)), _of_revision(new, Path(path))
    raise invalid("name two notebooks, or one or two revisions and a notebook", fix="rw notebook diff HEAD~1 X.ipynb")


def _of_revision(revision: str, path: Path) -> Notebook:
    return _of_bytes(git.content(path, revision), f"{revision}:{path}", path.suffix)


def _of_bytes(content: bytes, name: str, suffix: str) -> Notebook:
    with tempfile.TemporaryDirectory(prefix="rw-diff-") as folder:
        temporary = Path(folder) / f"version{suffix}"
        temporary.write_bytes(content)
        try:
            return msgspec.structs.replace(read.read(temporary), path=Path(name))
        except Fault as fault:
            where = fault.where.replace(str(temporary), name)
            raise Fault(fault.code, fault.what, where=where, fix=fault.fix) from None


def _for_git(arguments: tuple[str, ...]) -> int:
    """What git calls for `git diff`: path, old file, old hex, old mode, new file, new hex, new mode."""
    if len(arguments) < 7:
        click.echo(f"* unmerged: {arguments[0] if arguments else ''}")
        return 0
    path, old, _, _, new, _, _ = arguments[:7]
    click.echo(output.styled(f"notebook {path}", bold=True))
    sides: list[Notebook] = []
    for file in (old, new):
        if file == _NOTHING:
            sides.append(Notebook(path=Path(path), form="ipynb", cells=()))
            continue
        try:
            sides.append(_of_bytes(Path(file).read_bytes(), path, Path(path).suffix))
        except Fault as fault:  # git must go on to the next file
            click.echo(f"it cannot be shown by cell: {fault.what}")
            return 0
    found = diff.compare(*sides)
    if found.is_empty:
        click.echo("no difference, outputs aside")
    else:
        _show(found)
    return 0


def _show(found: diff.Difference) -> None:
    for change in found.cells:
        click.echo(output.styled(_heading(change), bold=True, fg={"added": "green", "removed": "red"}.get(change.kind)))
        for note in change.notes:
            click.echo(f"  {output.clean(note)}")
        for line in change.lines:
            text = f"  {output.clean(line)}"
            click.echo(output.styled(text, fg=_COLOURS[line[0]]) if line[:1] in _COLOURS else text)
        click.echo()
    for note in found.notes:
        click.echo(f"notebook {output.clean(note)}")
    kinds = [change.kind for change in found.cells]
    counts = [f"{kinds.count(kind)} {kind}" for kind in ("changed", "moved", "added", "removed") if kind in kinds]
    click.echo(f"cells: {', '.join([*counts, f'{found.same} the same'])}")


def _heading(change: diff.CellChange) -> str:
    kind = "" if change.cell == "code" else f" ({change.cell})"
    match change.kind:
        case "added":
            return f"+ cell {change.after}{kind} added"
        case "removed":
            return f"- cell {change.before}{kind} removed"
        case "moved":
            more = " and changed" if change.lines else ""
            return f"> cell {change.after}{kind} moved from {change.before}{more}"
    place = f"cell {change.after}" if change.before == change.after else f"cell {change.before} -> {change.after}"
    return f"~ {place}{kind} changed"
