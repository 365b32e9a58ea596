"""`rw notebook run`: run a notebook from top to bottom, tracked as a run."""

import sys
from pathlib import Path
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.notebook import run_shown
from roadworthy.notebooks import read
from roadworthy.notebooks.execute import cells, document, tracked
from roadworthy.nouns.errors import invalid
from roadworthy.store import project_file
from roadworthy.store.store import HOME, Store, open_store


@click.command(
    name="run",
    epilog="""\b
Examples:
  rw notebook run train.ipynb
  rw notebook run train.ipynb --set learning_rate=0.05 --out executed.ipynb
  rw notebook run train.ipynb --cached             only cells that a change affects
  rw notebook run train.ipynb --cached --explain   which, and why; runs nothing

\b
Exit codes: 0 finished, 1 a cell failed, 2 the notebook or a parameter is wrong, 6 the kernel does not start.""",
)
@click.argument("path", metavar="NOTEBOOK", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter for this run.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the executed notebook here too.")
@click.option("--cached", is_flag=True, help="Run only cells that a change affects; the others' results are reused.")
@click.option("--explain", is_flag=True, help="With --cached: say for each cell why it would run; run nothing.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Limit for all cells.")
@click.option("--cell-timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Limit for each cell.")
@click.option("--kernel", metavar="NAME", default="", help="An installed kernel, instead of the notebook's own.")
@click.option(
    "--cwd",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="The folder it runs in; the notebook's unless given.",
)
@click.option("--name", default="", help="Call the run something.")
@output.json_option
def command(
    *,
    path: Path,
    out: Path | None,
    cached: bool,
    explain: bool,
    timeout: float | None,
    cell_timeout: float | None,
    as_json: bool,
    **chosen: Any,
) -> Any:
    """Run NOTEBOOK in a clean kernel, each cell in order; track it as a run, and keep the executed notebook with it.

    Parameters are the constants of the cell tagged `parameters`; without one, any constant that is given once. NOTEBOOK
    itself is not changed.
    """
    if explain and not cached:
        raise invalid("--explain says what --cached would do", fix="rw notebook run NOTEBOOK --cached --explain")
    notebook = read.read(path)
    if not chosen["kernel"]:
        cells.check_syntax(notebook)
    if out is not None:
        _check_out(out)
    store, root, project = _where()
    options = tracked.Options(
        limits=cells.Limits(cell_s=cell_timeout, total_s=timeout),
        command=" ".join(["rw", *sys.argv[1:]])[:1000],
        project=project,
        root=root,
        **chosen,
    )
    with store:
        way = tracked.run_all
        if cached:
            # What keys are made of is loaded only for those who ask.
            from roadworthy.faces.cli.notebook import run_cached

            if explain:
                return run_cached.explain(store, notebook, options, as_json=as_json)
            way = run_cached.way
        with run_shown.progress() as watch:
            made = tracked.run(store, notebook, options=options, watch=watch, way=way)
        if out is not None:
            document.write(out, made.content)
        return run_shown.ending(store, notebook, made, out, as_json=as_json)


def _check_out(out: Path) -> None:
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise invalid("the executed notebook cannot be written there", where=str(out), fix="name a file in a folder")


def _where() -> tuple[Store, Path, str]:
    """The store of the project around, or of the current folder as tracking makes one; the folder; the project."""
    here = Path.cwd()
    path = project_file.find(here)
    if path is None:
        return open_store(here / HOME), here, ""
    place = project_file.read(path)
    return open_store(place.home, url=place.project.project.store), place.root, place.project.name
