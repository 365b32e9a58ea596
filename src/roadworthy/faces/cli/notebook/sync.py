"""`rw notebook sync`: keep a notebook and its script the same."""

from pathlib import Path
from typing import Literal

import click

from roadworthy.faces.cli import output
from roadworthy.notebooks.versions import sync
from roadworthy.nouns.errors import invalid
from roadworthy.store import project_file
from roadworthy.store.store import HOME, prepare_home


@click.command(
    name="sync",
    epilog="""\b
Examples:
  rw notebook sync train.ipynb                    with train.py, made if it is not there
  rw notebook sync train.ipynb --script cells.py  with another script, remembered
  rw notebook sync train.py                       the same pair, named by its script
  rw notebook sync train.ipynb --take script      when both changed: the script is right

\b
Exit code 4: both changed since they last agreed; nothing was written.""",
)
@click.argument("paths", metavar="NOTEBOOK…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--script", type=click.Path(path_type=Path), default=None, help="The script it is paired with.")
@click.option("--take", type=click.Choice(["notebook", "script"]), default=None, help="Which is right if both changed.")
@output.json_option
def command(
    *, paths: tuple[Path, ...], script: Path | None, take: Literal["notebook", "script"] | None, as_json: bool
) -> None:
    """Write what changed in NOTEBOOK to its script (cells marked `# %%`), or what changed there to the notebook.

    The one that changed wins; outputs stay with cells that did not change. If both changed nothing is written. What is
    replaced is kept in .roadworthy/sync/.
    """
    if script is not None and len(paths) > 1:
        raise invalid("--script names one script, so name one notebook")
    home = _home()
    done = []
    for path in paths:
        notebook = path.with_suffix(".ipynb") if path.suffix == ".py" else path
        given = path if path.suffix == ".py" else script
        done.append(sync.sync(home, notebook, given, take=take))
    if as_json:
        output.print_json(done)
        return
    for one in done:
        written = {"wrote script": one.script, "wrote notebook": one.notebook}.get(one.done)
        click.echo(f"{one.notebook} = {one.script}: {one.why}" + (f"; wrote {written}" if written else ""))
        if one.copy is not None:
            output.say(f"  before: {one.copy}")


def _home() -> Path:
    path = project_file.find(Path.cwd())
    home = project_file.read(path).home if path is not None else Path.cwd() / HOME
    prepare_home(home)
    return home
