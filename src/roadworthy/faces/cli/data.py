"""`rw data`: take, list, show, check, restore and verify snapshots of data."""

import re
import sys
import time
from pathlib import Path
from typing import Any

import click

from roadworthy.data import snapshots, sources
from roadworthy.data.gather import Progress
from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import here, open_anywhere
from roadworthy.nouns.errors import Fault, invalid, not_found
from roadworthy.nouns.evidence import Finding
from roadworthy.nouns.project import Place
from roadworthy.nouns.snapshot import Snapshot
from roadworthy.store import project_file
from roadworthy.store.store import Store

EXIT_BROKEN = 5
ID_SHOWN = 12
FILES_SHOWN = 20
PROGRESS_EVERY_S = 0.2


@click.group()
def command() -> None:
    """Take, list, check and restore snapshots of data.

    A snapshot is an immutable version of a data set, addressed by its content: what has not changed is not stored
    twice, and is not even read again.

    \b
    Examples:
      rw data add flights                what [data.flights] of the project points to
      rw data add photos/ --name photos  any folder, file or glob
      rw data check flights              hold the newest snapshot against its contract
      rw data restore 3f9a --to old/     the files of a snapshot, by the beginning of its id
    """  # noqa: D301 - click's mark is the control character


@command.command()
@click.argument("what")
@click.option("--name", default="", help="What the data set is called; made from the path when absent.")
@click.option("--copy", is_flag=True, help="Copy large files, rather than link them and make them read-only.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter for a source function.")
@output.json_option
def add(what: str, name: str, copy: bool, settings: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001 - click passes by name
    """Take a snapshot of WHAT: a data set of the project, a file, a folder, a glob, or MODULE:FUNCTION.

    A file of 64 MiB or more is not copied where the file system can do better: it is cloned (copy on write), or
    hard-linked into the store and made read-only; replace such a file rather than write to it. --copy copies it.

    \b
    Examples:
      rw data add flights
      rw data add data/trips.parquet
      rw data add 'data/2013-*.csv' --name trips
      rw data add source:departed --name flights
    """  # noqa: D301 - click's mark is the control character
    place = _place()
    showing = _Showing()
    with open_anywhere() as store, showing as progress:
        started = time.monotonic()
        newest = {each.name: each.id for each in reversed(snapshots.listing(store, _project(place)))}
        snapshot = _add(store, place, what, name=name, copy=copy, params=_params(place, settings), progress=progress)
        took_s = time.monotonic() - started
    new = newest.get(snapshot.name) != snapshot.id
    if as_json:
        output.print_json({"snapshot": snapshot, "new": new, "linked": showing.linked})
        return
    rows = f", {snapshot.rows:,} rows" if snapshot.rows is not None else ""
    click.echo(
        f"{snapshot.name}  {snapshot.id[:ID_SHOWN]}  {snapshot.files:,} file{'s' if snapshot.files != 1 else ''}, "
        f"{_bytes(snapshot.size)}{rows}{'' if new else '  (unchanged)'}"
    )
    output.say(f"took {took_s:.2f} s")
    if showing.linked:
        output.say(
            f"note: {showing.linked} large file{'s are' if showing.linked > 1 else ' is'} shared with the store and "
            "read-only now: replace such a file rather than write to it; --copy copies instead"
        )
    if snapshot.rows == 0:
        output.say("note: it has a header and no rows")


@command.command("list")
@click.argument("name", default="")
@output.json_option
def list_(name: str, as_json: bool) -> None:  # noqa: FBT001
    """List snapshots, the newest first; of data set NAME only, when it is given.

    \b
    Examples:
      rw data list
      rw data list flights --json
    """  # noqa: D301 - click's mark is the control character
    place = _place()
    with open_anywhere() as store:
        found = snapshots.listing(store, _project(place), name)
    if as_json:
        output.print_json({"snapshots": found})
        return
    if not found:
        output.say("no snapshots yet; take one: rw data add NAME")
        return
    output.table(
        ["name", "snapshot", "taken (UTC)", "kind", "files", "rows", "size", "source"],
        [
            [s.name, s.id[:ID_SHOWN], output.when(s.created_at), s.kind, s.files, s.rows, _bytes(s.size), s.source]
            for s in found
        ],
    )


@command.command()
@click.argument("ref")
@click.option("--all", "all_files", is_flag=True, help="Every file, however many.")
@output.json_option
def show(ref: str, all_files: bool, as_json: bool) -> None:  # noqa: FBT001
    """Show a snapshot: by its id, the beginning of it, or its data set's name (the newest).

    \b
    Examples:
      rw data show flights
      rw data show 3f9a
    """  # noqa: D301 - click's mark is the control character
    place = _place()
    with open_anywhere() as store:
        snapshot = snapshots.get(store, ref, _project(place))
        files = snapshots.files(store, snapshot)
    if as_json:
        output.print_json({"snapshot": snapshot, "files": files})
        return
    click.echo(f"{snapshot.name}  {snapshot.id}")
    click.echo(f"taken {output.when(snapshot.created_at)} UTC from {snapshot.source}")
    rows = f", {snapshot.rows:,} rows" if snapshot.rows is not None else ""
    click.echo(f"{snapshot.kind}, {snapshot.files:,} files, {_bytes(snapshot.size)}{rows}\n")
    if snapshot.columns:
        output.table(["column", "type"], [[column.name, column.type] for column in snapshot.columns])
        click.echo()
    shown = files if all_files else files[:FILES_SHOWN]
    output.table(["file", "size", "blake3"], [[f.path, _bytes(f.size), f.digest[:ID_SHOWN]] for f in shown])
    if len(files) > len(shown):
        click.echo(f"… and {len(files) - len(shown):,} more (--all)")


@command.command()
@click.argument("name")
@click.option("--snapshot", "ref", default="", help="Another snapshot than the newest.")
@output.json_option
def check(name: str, ref: str, as_json: bool) -> int:  # noqa: FBT001
    """Hold data set NAME against its contract.

    Files are looked at as they are now (a new snapshot is taken when they have changed); what a function returned is
    taken from the newest snapshot, or made when there is none.

    Exits with 5 when a rule that is not marked `warn` is broken.

    \b
    Examples:
      rw data check flights
      rw data check flights --snapshot 3f9a --json
    """  # noqa: D301 - click's mark is the control character
    from roadworthy.data import sensitive
    from roadworthy.gates.measures import quality

    place = here()
    data = place.project.data.get(name)
    if data is None:
        there = ", ".join(sorted(place.project.data)) or "none"
        raise not_found("the project has no such data set", where=f"[data.{name}]", fix=f"there are: {there}")
    if data.contract is None:
        raise not_found("the data set has no contract", where=f"[data.{name}.contract]", fix="write one: docs/data.md")
    with open_anywhere() as store:
        snapshot = _newest(store, place, name, ref)
        masked = sensitive.sensitive_columns(place.project)
        findings = quality.check(store, snapshot, data.contract, sensitive=masked)
    broken = quality.failures(findings)
    if as_json:
        output.print_json({"snapshot": snapshot.id, "passed": not broken, "findings": findings})
    else:
        _report(snapshot, findings, len(broken))
    return EXIT_BROKEN if broken else 0


@command.command()
@click.argument("ref")
@click.option("--to", required=True, type=click.Path(path_type=Path), help="A folder that does not exist yet.")
@output.json_option
def restore(ref: str, to: Path, as_json: bool) -> None:  # noqa: FBT001
    """Write a snapshot's files into a new folder: all of them, or none.

    \b
    Examples:
      rw data restore flights --to flights-now/
      rw data restore 3f9a --to flights-then/
    """  # noqa: D301 - click's mark is the control character
    place = _place()
    with open_anywhere() as store, _Showing() as progress:
        snapshot = snapshots.get(store, ref, _project(place))
        files = snapshots.restore(store, snapshot, to, progress=progress)
    if as_json:
        output.print_json({"snapshot": snapshot.id, "to": to.absolute(), "files": len(files)})
        return
    click.echo(f"{len(files):,} files of {snapshot.name} {snapshot.id[:ID_SHOWN]} are in {to}")


@command.command()
@click.argument("ref", default="")
@output.json_option
def verify(ref: str, as_json: bool) -> int:  # noqa: FBT001
    """Read every byte of a snapshot again (of all snapshots, without REF) and compare it with its digest.

    Exits with 5 when a file is damaged or gone.

    \b
    Examples:
      rw data verify
      rw data verify flights
    """  # noqa: D301 - click's mark is the control character
    place = _place()
    with open_anywhere() as store, _Showing() as progress:
        wanted = (
            [snapshots.get(store, ref, _project(place))] if ref else snapshots.listing(store, _project(place))
        )  # fmt: skip
        wrong = [(each, _verified(store, each, progress)) for each in wanted]
    damaged = [(each, problems) for each, problems in wrong if problems]
    if as_json:
        listed = [
            {"snapshot": each.id, "name": each.name, "problems": [{"file": f, "problem": p} for f, p in problems]}
            for each, problems in wrong
        ]
        output.print_json({"passed": not damaged, "snapshots": listed})
        return EXIT_BROKEN if damaged else 0
    for each, problems in damaged:
        for file, problem in problems[:FILES_SHOWN]:
            click.echo(f"{each.name} {each.id[:ID_SHOWN]}: {file}: {problem}")
        if len(problems) > FILES_SHOWN:
            click.echo(f"… and {len(problems) - FILES_SHOWN:,} more files")
    click.echo(f"{len(wrong) - len(damaged)} of {len(wrong)} snapshots are as they were taken")
    return EXIT_BROKEN if damaged else 0


def _add(
    store: Store, place: Place | None, what: str, *, name: str, copy: bool, params: dict[str, Any], progress: Progress
) -> Snapshot:
    root, project = (place.root, place.project.name) if place else (Path.cwd(), "")
    if place is not None and what in place.project.data and not name:
        return sources.resolve(store, place, what, params=params, copy=copy, progress=progress)
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", what) and not Path(what).exists():
        value = sources.call(store, root, what, params=params)
        called = name or what.partition(":")[2]
        if not isinstance(value, Path):
            return snapshots.take_table(store, called, value, project=project, source=what)
        path = value if value.is_absolute() else root / value
        return snapshots.take(store, called, path, project=project, source=what, copy=copy, progress=progress)
    try:
        paths = sources.matching(what, Path.cwd())
    except Fault as fault:
        known = sorted(place.project.data) if place else []
        if known and not re.search(r"[/.*?\[]", what):
            raise not_found(
                "neither a data set of the project nor a file or folder", where=what,
                fix=f"the project has: {', '.join(known)}",
            ) from None  # fmt: skip
        raise fault from None
    return snapshots.take(
        store, name or _name_of(what), paths, project=project, source=what, copy=copy, progress=progress
    )  # fmt: skip


def _name_of(path: str) -> str:
    """A data set's name made from a path: its last part without endings, in the letters that names have."""
    stem = Path(path).absolute().name.split(".")[0]
    name = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")
    if not name or not name[0].isalpha():
        raise invalid("no name can be made from the path", where=path, fix="give one: --name NAME")
    return name


def _params(place: Place | None, settings: tuple[str, ...]) -> dict[str, Any]:
    import msgspec

    params = dict(place.project.params) if place else {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise invalid("a setting is KEY=VALUE", where=f"--set {setting}")
        try:
            params[key] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            params[key] = text
    return params


def _newest(store: Store, place: Place, name: str, ref: str) -> Snapshot:
    project = place.project.name
    if ref:
        return snapshots.get(store, ref, project)
    taken = bool(snapshots.listing(store, project, name))
    if taken and place.project.data[name].python is not None:
        return snapshots.get(store, name, project)  # calling the function again may take long, and give something else
    if not taken:
        output.say(f"no snapshot of {name} yet: taking one")
    return sources.resolve(store, place, name, params=dict(place.project.params))


def _verified(store: Store, snapshot: Snapshot, progress: Progress) -> list[tuple[str, str]]:
    try:
        return snapshots.verify(store, snapshot, progress=progress)
    except Fault as fault:
        return [("the manifest", fault.what)]


def _report(snapshot: Snapshot, findings: tuple[Finding, ...], broken: int) -> None:
    click.echo(f"{snapshot.name}  {snapshot.id[:ID_SHOWN]}\n")
    rows = []
    for finding in findings:
        word = "ok" if finding.passed else "warn" if finding.level == "warn" else "BROKEN"
        count = f"{finding.failed:,}" if not finding.passed else ""
        rows.append([word, finding.rule, count, finding.measured, finding.allowed])
    output.table(["", "rule", "broken by", "found", "must be"], rows)
    for finding in findings:
        if finding.examples and not finding.passed:
            click.echo(f"\n{finding.rule}: such as")
            headers = list(finding.examples[0])[:8]
            output.table(headers, [[_short(row.get(header)) for header in headers] for row in finding.examples])
    warned = sum(not finding.passed and finding.level == "warn" for finding in findings)
    click.echo(f"\n{len(findings) - broken - warned} of {len(findings)} rules hold, {broken} broken, {warned} warnings")


def _short(value: Any) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 24 else text[:23] + "…"


def _place() -> Place | None:
    path = project_file.find(Path.cwd())
    return project_file.read(path) if path is not None else None


def _project(place: Place | None) -> str:
    return place.project.name if place else ""


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


class _Showing:
    """One line of progress on a terminal, redrawn a few times a second; nothing when piped.

    Attributes:
        linked: how many large files were linked, once that is known.
    """

    def __init__(self) -> None:
        self.linked = 0
        self._last_s = 0.0
        self._drawn = False
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self._show

    def _show(self, what: str, done: int, total: int) -> None:
        now_s = time.monotonic()
        if what == "linked":
            self.linked = done
            return
        if not self._terminal or now_s - self._last_s < PROGRESS_EVERY_S:
            return
        self._last_s, self._drawn = now_s, True
        shown = f"{_bytes(done)} of {_bytes(total)}" if what == "bytes" else f"{done:,} of {total:,} files"
        sys.stderr.write(f"\r\x1b[K{shown}")
        sys.stderr.flush()

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
