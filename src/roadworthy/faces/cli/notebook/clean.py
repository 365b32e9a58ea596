"""`rw notebook clean`: strip outputs and passing metadata from files, or as git's filter from standard input."""

import sys
from pathlib import Path

import click

from roadworthy.faces.cli import output
from roadworthy.notebooks.execute import document
from roadworthy.notebooks.versions import clean, git
from roadworthy.nouns.errors import Fault, invalid, not_found

EXIT_NOT_CLEAN = 5
_SKIPPED = frozenset({".ipynb_checkpoints", ".git", ".venv", "node_modules", ".roadworthy"})


@click.command(
    name="clean",
    epilog="""\b
Examples:
  rw notebook clean train.ipynb
  rw notebook clean --check .        in CI: exit code 5 if a notebook is not clean
  rw notebook clean --install        git cleans what is added, from now on; your files keep their outputs
  rw notebook clean - < a.ipynb      what the filter does

\b
A cell tagged keep_output keeps its outputs.""",
)
@click.argument("paths", metavar="PATH…", nargs=-1)
@click.option("--check", is_flag=True, help="Change nothing; say what is not clean.")
@click.option("--keep-outputs", is_flag=True, help="Leave outputs; strip metadata and counts.")
@click.option("--keep-counts", is_flag=True, help="Leave execution counts.")
@click.option("--install", is_flag=True, help="Set up git's filter and diff in the repository around.")
@click.option("--uninstall", is_flag=True, help="Take them away again.")
@output.json_option
def command(
    *,
    paths: tuple[str, ...],
    check: bool,
    keep_outputs: bool,
    keep_counts: bool,
    install: bool,
    uninstall: bool,
    as_json: bool,
) -> int:
    """Strip outputs, counts and passing metadata from notebooks, and leave all else as it is, to the byte."""
    if install or uninstall:
        return _git_filter(install=install)
    kept = clean.Kept(outputs=keep_outputs, counts=keep_counts)
    if paths == ("-",):
        sys.stdout.buffer.write(clean.clean(sys.stdin.buffer.read(), where="standard input", kept=kept))
        return 0
    if not paths:
        raise invalid("name notebooks or folders", fix="rw notebook clean . — or --install for git's filter")
    changed: list[Path] = []
    problems: list[Fault] = []
    for path in _files(paths):
        try:
            before = path.read_bytes()
            after = clean.clean(before, where=str(path), kept=kept)
            if after != before:
                changed.append(path)
                if not check:
                    document.write(path, after)
        except Fault as problem:
            problems.append(problem)
        except OSError as problem:
            problems.append(invalid(f"it cannot be read: {problem.strerror}", where=str(path)))
    if as_json:
        output.print_json({"changed" if not check else "not_clean": changed, "problems": [str(p) for p in problems]})
    else:
        for path in changed:
            click.echo(f"{'not clean' if check else 'cleaned'}: {path}")
    for other in problems[1:]:
        output.say(str(other))
    if problems:
        raise problems[0]
    return EXIT_NOT_CLEAN if check and changed else 0


def _files(paths: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found += sorted(p for p in path.rglob("*.ipynb") if p.is_file() and not _SKIPPED.intersection(p.parts))
        elif path.is_file():
            found.append(path)
        else:
            raise not_found("there is no such file", where=name)
    return list(dict.fromkeys(found))


def _git_filter(*, install: bool) -> int:
    here = Path.cwd()
    if not install:
        git.uninstall(here)
        click.echo("git adds notebooks as they are again")
        return 0
    for changed in git.install(here):
        click.echo(f"set up {changed}")
    click.echo("git now adds notebooks without outputs and shows their differences by cell; files here keep theirs")
    click.echo(f"commit {git.ATTRIBUTES}; whoever clones runs `rw notebook clean --install` once")
    return 0
