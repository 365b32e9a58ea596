"""`rw labels`: add what came out of what was served, and see what is known."""

from pathlib import Path

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_here


@click.group()
def command() -> None:
    """Add true labels for rows that were served, so that monitors can measure performance.

    Labels are joined to served rows by the key that `[serving] key` names; a key that gets a second label keeps the
    newer one. They may come at any time: windows that were judged before are judged again.

    \b
    Examples:
      rw labels add outcomes.csv
      rw labels add outcomes.parquet --key flight_id --label was_late
      psql -c "copy (select id, late from outcomes) to stdout csv header" | rw labels add -
    """  # noqa: D301 - click's mark for lines that stay as they are


@command.command("add")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--key", default="", help="Column with the key. [default: that of [serving] key]")
@click.option("--label", default="", help="Column with the label. [default: that of [model] label]")
@output.json_option
def add(file: Path, key: str, label: str, *, as_json: bool) -> None:
    """Add labels from a CSV or Parquet FILE, or `-` for CSV on standard input."""
    from roadworthy.operate import labels

    place, store = open_here()
    with store:
        added = labels.add(store, place, labels.read_table(file), key=key, label=label)
    if as_json:
        output.print_json({"added": added})
    else:
        click.echo(f"{added:,} labels added")


@command.command("count")
@output.json_option
def count(*, as_json: bool) -> None:
    """How many served rows have a label, by model version."""
    from roadworthy.operate import labels

    place, store = open_here()
    with store:
        found = labels.coverage(store, place)
    if as_json:
        output.print_json([{"model": c.model, "rows": c.rows, "labelled": c.labelled} for c in found])
        return
    if not found:
        output.say("nothing was served yet")
    output.table(
        ["model", "rows", "labelled", "share"],
        [[c.model, c.rows, c.labelled, f"{c.labelled / c.rows:.1%}"] for c in found],
    )


@command.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
@output.json_option
def listing(limit: int, *, as_json: bool) -> None:
    """The labels that came last."""
    from roadworthy.operate import labels

    _, store = open_here()
    with store:
        found = labels.newest(store, limit)
    if as_json:
        output.print_json([{"key": row.key, "label": row.label, "at": row.at} for row in found])
        return
    if not found:
        output.say("no labels were added yet")
        return
    output.table(["key", "label", "known since"], [[row.key, row.label, output.when(row.at)] for row in found])
