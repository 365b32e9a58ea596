"""`rw gc`: free the space of what nothing needs any more."""

import click
import msgspec

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_anywhere
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.project import Duration, Retention, seconds


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would go, and touch nothing.")
@click.option("--grace", default="1d", show_default=True, help="What was written or used within this time stays.")
@click.option("--blobs", default="", envvar="ROADWORTHY_SERVER_BLOBS", help="The bucket of a server: s3://…, as there.")
@output.json_option
def command(grace: str, blobs: str, *, dry_run: bool, as_json: bool) -> None:
    """Free the space of what nothing needs any more.

    Blobs that no snapshot, run, model, certificate or other record names leave the disk; by the rules of [retention],
    old runs let go of what their steps made. Rebuilt environments and laid-out copies that nobody used go, files of
    labels become one, and the database gives back its free pages. What goes is made again when it is asked for:
    a step runs again, an environment is rebuilt.

    It may run beside anything else, and be killed at any point.

    \b
    Examples:
      rw gc --dry-run
      rw gc
      rw gc --grace 3h --json
    """  # noqa: D301 - click's mark for lines that stay as they are
    from roadworthy.operate import retention

    with open_anywhere() as store:
        if blobs:
            from roadworthy.store.remote_blobs import connect

            store.keep_blobs(connect(blobs, store.home / "blobs"))
        made = retention.collect(
            store, _rules(), grace_s=_seconds(grace), dry_run=dry_run, tell=output.say if not as_json else _quiet
        )
    if as_json:
        output.print_json(made)
        return
    shown = [[line.what, f"{line.count:,}", output.size(line.freed)] for line in made.lines if line.count]
    if shown:
        output.table(["what", "count", "space"], shown)
    verb = "would be" if dry_run else "are"
    click.echo(f"{output.size(made.freed)} {verb} free")
    if made.shared:
        output.say(
            f"note: {made.shared:,} of the files have another name on this disk (a backup, a file of yours), "
            "and give no space until that goes too"
        )
    if made.young:
        output.say(f"note: {made.young:,} blobs that nothing names are younger than {grace}, and stay for now")
    if made.kept:
        output.say(f"note: {output.size(made.kept)} of dead blobs stay in packs that are mostly in use")
    for pack in made.damaged:
        output.say(f"note: pack {pack[:12]} holds a damaged blob and was left as it is; see: rw data verify")


def _rules() -> Retention:
    from pathlib import Path

    from roadworthy.store import project_file

    path = project_file.find(Path.cwd())
    return project_file.read(path).project.retention if path is not None else Retention()


def _seconds(grace: str) -> float:
    try:
        return seconds(msgspec.convert(grace, Duration))
    except msgspec.ValidationError:
        raise invalid(f"{grace!r} is no duration", where="--grace", fix="write it such as 3h, 1d or 0s") from None


def _quiet(_: str) -> None:
    """JSON is all that is said."""
