"""`rw notebook graph`: draw how values go from cell to cell."""

from pathlib import Path

import click

from roadworthy.faces.cli import output
from roadworthy.notebooks.dataflow.flow import analyse
from roadworthy.notebooks.graph import lines, svg
from roadworthy.notebooks.graph.cells import graph
from roadworthy.notebooks.read import read
from roadworthy.nouns.errors import invalid


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--svg", "target", type=click.Path(path_type=Path), help="Write a picture to this file; - for stdout.")
@output.json_option
def command(path: Path, target: Path | None, as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    r"""Draw how values go from cell to cell of the notebook PATH.

    As text, a line a cell: beside it run the values that are still to be read; `o` is where one is made, `├` where it
    is read, `╰` where it is read last. Imports are left out.

    \b
    Examples:
      rw notebook graph train.ipynb
      rw notebook graph train.ipynb --svg train.svg
      rw notebook graph train.ipynb --json
    """
    notebook = read(path)
    flow = analyse(notebook)
    drawn = graph(notebook, flow)
    if as_json:
        output.print_json({"cells": drawn.nodes, "arrows": [arrow._asdict() for arrow in drawn.arrows]})
        return
    if target is None:
        for line in lines.draw(drawn):
            click.echo(output.clean(line))
        return
    text = svg.draw(drawn)
    if str(target) == "-":
        click.echo(text, nl=False)
        return
    try:
        target.write_text(text, "utf-8")
    except OSError as problem:
        raise invalid(f"the picture cannot be written: {problem.strerror}", where=str(target)) from None
    output.say(f"wrote {target}: {len(drawn.nodes)} cells, {len(drawn.arrows)} flows")
