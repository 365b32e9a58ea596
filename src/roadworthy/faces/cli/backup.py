"""`rw backup`: a consistent copy of the store, made while it is in use."""

from pathlib import Path

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_anywhere
from roadworthy.faces.cli.progress import Progress


@click.command()
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--copy", is_flag=True, help="Copy blobs even where the disk is the same and a link would do.")
@click.option("--files-only", is_flag=True, help="Leave the records to a dump of PostgreSQL that was made before.")
@output.json_option
def command(dest: Path, *, copy: bool, files_only: bool, as_json: bool) -> None:
    """Back up the store into the folder DEST, which does not exist yet.

    Records, blobs, keys, served rows and labels, all of one moment, while runs and servers go on. It holds the private
    signing key: keep it as safe as the store. On the same disk blobs are linked, which takes no space and is no
    protection from that disk's end; --copy copies them. A backup that was killed is carried on by the same command.

    \b
    Examples:
      rw backup /mnt/backup/flights-2024-05-01
      rw backup ../flights.backup --copy --json
    """  # noqa: D301 - click's mark for lines that stay as they are
    from roadworthy.store import backup

    with open_anywhere() as store, Progress(quiet=as_json) as progress:
        made = backup.make(store, dest, copy=copy, files_only=files_only, progress=progress)
    if as_json:
        output.print_json({"backup": dest.absolute(), **_facts(made.manifest), "linked": made.linked})
        return
    manifest = made.manifest
    size = output.size(manifest.size)
    click.echo(f"{dest}: {manifest.blobs:,} files of blobs, {size}, and a log of {manifest.events:,} events")
    if made.resumed:
        output.say(f"note: {made.resumed:,} blobs were there from a backup that was killed")
    if manifest.database != "sqlite":
        output.say("note: the records are in PostgreSQL, and not in this backup; keep the dump with it")


def _facts(manifest: object) -> dict[str, object]:
    return {name: getattr(manifest, name) for name in ("at", "database", "events", "root", "blobs", "size")}
