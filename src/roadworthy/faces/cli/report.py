"""`rw report`: the road travelled so far, as one HTML file."""

from pathlib import Path

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.output import json_option
from roadworthy.faces.cli.place import open_here
from roadworthy.faces.report import page
from roadworthy.nouns.errors import invalid


@click.command(name="report")
@click.option(
    "--out", default="report.html", show_default=True, type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write it; a file that is there is replaced.",
)  # fmt: skip
@json_option
def command(*, out: Path, as_json: bool) -> None:
    r"""Write the project's report: versions, gate outcomes, drift, performance, releases, cost, audit root.

    \b
    Examples:
      rw report
      rw report --out /tmp/flights.html

    One HTML file with its plots in it: it needs no network, runs no script, and can be mailed or printed.
    """
    place, store = open_here()
    output.say("reading the road so far")
    text = page.write(store, place)
    partial = out.with_name(f".{out.name}.partial")
    try:
        partial.write_text(text, "utf-8")
        partial.replace(out)
    except OSError as problem:
        raise invalid(f"the report cannot be written: {problem.strerror}", where=str(out)) from None
    if as_json:
        output.print_json({"path": str(out.resolve()), "bytes": len(text.encode())})
    else:
        click.echo(str(out.resolve()))
