"""`rw audit`: read, verify and checkpoint the log of changes."""

import json
import re
from pathlib import Path

import click
import msgspec

from roadworthy.faces.cli import output
from roadworthy.faces.cli.output import json_option
from roadworthy.faces.cli.place import open_around
from roadworthy.nouns.errors import invalid, unavailable
from roadworthy.nouns.event import Event
from roadworthy.store import log

DETAIL_SHOWN = 80


@click.group(name="audit", invoke_without_command=True)
@click.option("--subject", default="", help="Only events about this id (of a run, say) or `name@version`.")
@click.option("--kind", default="", help="Only events of this kind, or kinds that begin so, such as `model`.")
@click.option("--actor", default="", help="Only what this person or token did.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How many at most.")
@json_option
@click.pass_context
def command(ctx: click.Context, *, subject: str, kind: str, actor: str, limit: int, as_json: bool) -> None:
    r"""Read the log of changes, the newest first; verify it; sign it; prove an event.

    \b
    Examples:
      rw audit --kind release
      rw audit --subject late-flights@3
      rw audit checkpoint --out /mnt/worm/road.checkpoint
      rw audit verify --checkpoint /mnt/worm/road.checkpoint
      rw audit proof 41

    A log that was cut short or rewritten as a whole still hashes well; only a checkpoint that was kept where nobody
    here can change it tells. Export one often: a git repository elsewhere, or a bucket with an object lock.
    """
    if ctx.invoked_subcommand is not None:
        return
    store, _ = open_around()
    with store.read() as reader:
        found = log.search(reader, subject=subject, kind=kind, actor=actor, limit=limit)
    if as_json:
        output.print_json(found)
        return
    if not found:
        output.say("no events" + (" like that" if subject or kind or actor else ""))
        return
    output.table(
        ["seq", "at", "event", "about", "by", "detail"],
        [[e.seq, output.when(e.at), e.kind, e.subject[:24], e.actor, _detail(e)] for e in found],
    )


@command.command()
@click.option(
    "--checkpoint", "files", multiple=True, type=click.Path(path_type=Path), help="An exported checkpoint; repeatable."
)
@json_option
def verify(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Hash the whole log again and hold it against its head and every checkpoint."""
    store, _ = open_around()
    exported = tuple(_read(file) for file in files)
    with store.read() as reader:
        found = log.verify(reader, store.keys, exported=exported)
    if found.damage:
        lines = "".join(f"\n  {d.what}" for d in found.damage[:20])
        more = f"\n  and {len(found.damage) - 20} more" if len(found.damage) > 20 else ""
        raise invalid(
            f"the log was changed: {len(found.damage)} findings{lines}{more}",
            where=str(store.home),
            fix="compare it with a backup; what was done since the last good checkpoint cannot be trusted",
            detail={"damage": msgspec.to_builtins(found.damage), "size": found.size, "root": found.root},
        )
    if as_json:
        output.print_json(found)
    else:
        click.echo(f"good: {found.size} events, {found.checkpoints} checkpoints, root {found.root}")


@command.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to write it; stdout unless named.")
@json_option
def checkpoint(out: Path | None, *, as_json: bool) -> None:
    """Sign the log as it is now (C2SP tlog-checkpoint)."""
    store, project = open_around()
    with store.append() as tx:
        made = log.checkpoint(tx, store.keys, origin=log.origin(project), at=store.clock.now())
    if out is not None:
        try:
            out.write_text(made.note, "utf-8")
        except OSError as problem:
            raise unavailable(f"the checkpoint cannot be written: {problem.strerror}", where=str(out)) from None
        output.say(f"checkpoint of {made.size} events written to {out}")
    if as_json:
        output.print_json(made)
    elif out is None:
        click.echo(made.note, nl=False)


@command.command()
@click.argument("seq", type=click.IntRange(min=0))
@json_option
def proof(seq: int, *, as_json: bool) -> None:
    """Prove that event SEQ is in the log: its text, its audit path and the root (RFC 6962)."""
    store, _ = open_around()
    with store.read() as reader:
        made = log.prove(reader, seq)
    if as_json:
        output.print_json(made)
        return
    output.pairs([("event", seq), ("leaf", made.leaf), ("size", made.size), ("root", made.root)])
    for place, sibling in enumerate(made.path):
        click.echo(f"path {place:<2}  {sibling}")
    click.echo(f"\n{output.clean(made.record)}")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise invalid(f"the checkpoint cannot be read: {problem}", where=str(file)) from None


def _detail(event: Event) -> str:
    text = json.dumps(event.detail, separators=(",", ":"), ensure_ascii=False) if event.detail else ""
    # Digests are shown by their beginning; --json has them whole.
    text = re.sub(r"\b([0-9a-f]{12})(?:[0-9a-f]{20}|[0-9a-f]{52})\b", r"\1", text)
    return text if len(text) <= DETAIL_SHOWN else f"{text[: DETAIL_SHOWN - 1]}…"
