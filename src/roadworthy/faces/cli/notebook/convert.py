"""`rw notebook convert`: write a pipeline that does the same, and prove it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.nouns.errors import EXIT_CODES, Code

NOT_PROVEN = EXIT_CODES[Code.REFUSED]


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `rw new --from-notebook` has too."""
    for option in (
        click.option("--tolerance", type=click.FloatRange(0), default=1e-9, show_default=True, metavar="NUMBER",
                     help="How far floating-point numbers may differ, relative to the greater of 1 and their size."),
        click.option("--cell-timeout", type=click.FloatRange(0, min_open=True), default=1800.0, show_default=True,
                     metavar="SECONDS", help="Limit for each cell of the notebook."),
        click.option("--no-proof", is_flag=True, help="Run nothing and compare nothing; it says so, and exits with 5."),
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(
    name="convert",
    epilog="""\b
Examples:
  rw notebook convert train.ipynb                  into a new folder called train
  rw notebook convert train.ipynb --out churn      into churn
  rw notebook convert train.ipynb --dry-run        print the pipeline; write nothing

\b
Tags on cells steer it:
  rw:step=NAME   what the cell makes comes from the step NAME; cells of one name are one step
  rw:skip        leave the cell behind
  rw:param       its constants are parameters of the project (so do cells tagged `parameters`)
  rw:report      keep the cell as a report: its figures are logged

\b
Exit codes: 0 equal, 2 the notebook cannot be converted, 4 the folder is not empty, 5 written, but not proven equal,
6 a cell does not end or the kernel dies.""",
)
@click.argument("path", metavar="NOTEBOOK", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Where; a new folder called like NOTEBOOK."
)
@click.option("--name", default="", help="Call the project something; like NOTEBOOK unless given.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option("--dry-run", is_flag=True, help="Print the pipeline; write nothing.")
@shared
@output.json_option
def command(*, path: Path, out: Path | None, no_proof: bool, cell_timeout: float, as_json: bool, **chosen: Any) -> int:
    """Write a project whose pipeline does what NOTEBOOK does, run both, and compare every value that crosses a step.

    NOTEBOOK is only read. Cells that only look (plots, prints, heads of tables) are left behind; the rest becomes steps
    by the flow of data, files become data sets, and constants become parameters.
    """
    from roadworthy.faces.cli.project_name import check_name
    from roadworthy.notebooks import conversion

    if chosen["name"]:
        check_name(chosen["name"])
    options = conversion.Options(target=out, proof=not no_proof, cell_s_max=cell_timeout, **chosen)
    converted = conversion.convert(path, options, tell=say(as_json=as_json))
    return show(converted, shown=out, as_json=as_json)


def say(*, as_json: bool) -> Callable[[str], None]:
    """Progress, to a person who watches."""
    if as_json or not sys.stderr.isatty():
        return lambda _: None
    return output.say


def show(converted: Any, *, shown: Path | None, as_json: bool) -> int:
    """Print what came of a conversion; the exit code."""
    from roadworthy.notebooks.prove import proof as proofs

    proof = converted.proof
    if as_json:
        output.print_json(converted)
        return 0 if proof.holds else NOT_PROVEN
    if not converted.folder:
        for name in ("pipeline.py", "roadworthy.toml"):
            click.echo(f"# {name}\n{converted.files[name]}")
    else:
        folder = shown or Path(converted.name)
        click.echo(f"{converted.notebook}: {len(converted.files)} files in {folder}/")
    click.echo(f"steps: {', '.join(converted.steps)}")
    if converted.data:
        click.echo(f"data sets: {', '.join(converted.data)}")
    if converted.params:
        click.echo(f"parameters: {', '.join(f'{k} = {v}' for k, v in converted.params.items())}")
    if not converted.model:
        click.echo("model: none that a gate could judge (roadworthy.toml says what is missing)")
    click.echo(f"\n{proofs.text(proof)}")
    if converted.folder and proof.original_s:
        click.echo(f"\nreport: {(shown or Path(converted.name)) / 'proof.html'}")
    if not proof.holds:
        output.say("\nNOT PROVEN EQUAL: do not release what this pipeline makes before you have looked at the report.")
        return NOT_PROVEN
    if converted.folder:
        go = "rw run && rw gate" if converted.model else "rw run"
        click.echo(f"\nNext: cd {shown or converted.name} && {go}")
    return 0
