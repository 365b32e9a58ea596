"""`rw restore`: the store from its backup, every byte checked."""

from pathlib import Path

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.progress import Progress
from roadworthy.store.store import HOME

EXIT_BROKEN = 5


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--partial", is_flag=True, help="Leave damaged blobs out, rather than refuse.")
@output.json_option
def command(source: Path, *, partial: bool, as_json: bool) -> int:
    """Make the store of this project from the backup SOURCE: all of it, or nothing.

    Every blob is held against its digest, every other file against the manifest, and the log against its own hashes
    and signed checkpoints. Where a store is already, nothing is done: move it away first.

    Exits with 5 when --partial had to leave blobs out.

    \b
    Examples:
      rw restore /mnt/backup/flights-2024-05-01
    """  # noqa: D301 - click's mark for lines that stay as they are
    from roadworthy.store import project_file, restoring

    found = project_file.find(Path.cwd())
    home = (found.parent if found is not None else Path.cwd()) / HOME
    with Progress(quiet=as_json) as progress:
        made = restoring.restore(source, home, partial=partial, progress=progress)
    if as_json:
        output.print_json({"store": home, "manifest": made.manifest, "left_out": made.left_out})
        return EXIT_BROKEN if made.left_out else 0
    manifest = made.manifest
    whole = manifest.blobs - len(made.left_out)
    click.echo(f"{home}: {whole:,} files of blobs and a log of {manifest.events:,} events, all checked")
    for name in made.left_out[:20]:
        click.echo(f"left out, damaged: {name}")
    if manifest.database != "sqlite":
        output.say("note: the records are in PostgreSQL: load the dump that belongs to this backup")
    return EXIT_BROKEN if made.left_out else 0
