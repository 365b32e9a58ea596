"""`rw operate`: run the loop, replay history down it, and see where it is."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import check_rules, here, open_here
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.project import Duration, seconds

if TYPE_CHECKING:
    from roadworthy.operate.journal import Action
    from roadworthy.operate.periods import Period

COLOURS = {"promoted": "green", "released": "green", "breached": "yellow", "refused": "red", "rolled_back": "red",
           "failed": "red", "retraining": "cyan"}  # fmt: skip
NAMES_SHOWN_MAX = 4


@click.group(invoke_without_command=True)
@click.option("--once", is_flag=True, help="End after one turn.")
@click.option("--every", default="", help="Time from turn to turn, such as 15m. [default: that of [operate]]")
@click.option("--replay", "source", default="", metavar="MODULE:FUNCTION", help="Replay history on a simulated clock.")
@output.json_option
@click.pass_context
def command(ctx: click.Context, every: str, source: str, *, once: bool, as_json: bool) -> None:
    """Watch, retrain on a breach, gate, release with a canary, promote: in a loop, one per project.

    Each turn looks after the release under way, asks the monitors, and sets out on a new journey when nothing is live
    or a monitor whose action is `retrain` found a breach. It may be killed at any point: the next start carries on.

    With --replay, a function of the project yields `(moment, rows, labels)` in order of time. Rows are served by the
    live target over HTTP, labels added, the clock moved, and a turn made at the end of each period.

    \b
    Examples:
      rw operate
      rw operate --once
      rw operate --every 15m --json
      rw operate --replay source:year
      rw operate status
    """  # noqa: D301 - click's mark for lines that stay as they are
    if ctx.invoked_subcommand is not None:
        return
    every_s = _seconds(every)
    if source:
        _replay(source, every_s, as_json=as_json)
        return
    from roadworthy.operate import loop

    place, store = open_here()
    check_rules(place)
    with store:
        loop.operate(store, place, once=once, every_s=every_s, tell=_teller(as_json=as_json), progress=output.say)


@command.command("status")
@click.option("--limit", default=15, show_default=True, type=click.IntRange(1, 500), help="Show the last N actions.")
@output.json_option
def status(limit: int, *, as_json: bool) -> None:
    """Where the loop is: who runs it, what it is doing, what it did last."""
    from roadworthy.operate import alerts, journal, loop

    place, store = open_here()
    with store:
        state = journal.load(store, place.project.name)
        holder = loop.holder(store, place.project.name)
        opened = alerts.open_alerts(store, place.project.name)
    if as_json:
        output.print_json({"running": holder, "state": state, "alerts": opened})
        return
    click.echo(f"loop of {place.project.name}: " + (f"run by {holder}" if holder else "not running"))
    click.echo(f"turns: {state.turns}, the last at {output.when(state.turned_at)}")
    if state.journey is not None:
        reached = [name for name in ("run", "model", "certificate", "release") if getattr(state.journey, name)]
        click.echo(f"on the road since {output.when(state.journey.began_at)}: {state.journey.reason}")
        click.echo(f"  reached: {', '.join(reached) or 'nothing yet'}")
    if state.replay is not None:
        where = "finished" if state.replay.finished else f"at {output.when(state.replay.moment)}"
        click.echo(f"replay of {state.replay.source}: {where}, {state.replay.rows:,} rows")
    for alert in opened:
        click.echo(f"alert: {alert.monitor} on {alert.model}: {alert.summary}")
    if state.actions:
        output.table(
            ["when", "what", ""],
            [[output.when(a.at), a.kind.replace("_", " "), a.what] for a in state.actions[-limit:]],
        )


def _replay(source: str, every_s: float | None, *, as_json: bool) -> None:
    from roadworthy.operate import journal, replay
    from roadworthy.store.clock import SimulatedClock
    from roadworthy.store.store import open_store

    place = here()
    with open_store(place.home, url=place.project.project.store, clock=SimulatedClock(0.0)) as store:
        if replay.finished(journal.load(store, place.project.name), source):
            if as_json:
                output.print_json([])
            output.say(f"nothing to replay: {source} was replayed to its end")
            return
        found = replay.replay(
            store,
            place,
            source,
            every_s=every_s,
            tell=_teller(as_json=as_json),
            progress=output.say,
            period=None if as_json else lambda p: output.say(line(p)),
        )
    if as_json:
        for period in found:
            _json_line({"period": period})
        return
    click.echo()
    show(found)


def show(found: "list[Period]") -> None:
    """The periods as a table."""
    output.table(
        ["period", "served by", "rows", "measured", "positives", "drifted", "alert", "done at its end"],
        [
            [
                output.when(p.start)[:10],
                " + ".join(p.models),
                f"{p.rows:,}",
                f"{p.metric} {p.value:.4f}" if p.value is not None else None,
                f"{p.label_rate:.1%}" if p.label_rate is not None else None,
                _few(p.drifted),
                ", ".join(p.alerts) or None,
                "; ".join(p.actions) or None,
            ]
            for p in found
        ],
    )


def line(period: "Period") -> str:
    """A period in one line."""
    said = [f"{output.when(period.start)[:10]} to {output.when(period.end)[:10]}", f"{period.rows:,} rows"]
    said += [", ".join(f"{name} {rows / max(period.rows, 1):.0%}" for name, rows in period.models.items())]
    if period.value is not None:
        said.append(f"{period.metric} {period.value:.4f} on {period.labelled:,} labels")
    said.append(f"{len(period.drifted)} columns drifted")
    if period.alerts:
        said.append(f"alert: {', '.join(period.alerts)}")
    return click.style("period ", bold=True) + "; ".join(part for part in said if part)


def _few(names: tuple[str, ...]) -> str | None:
    if not names:
        return None
    rest = len(names) - NAMES_SHOWN_MAX
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (f" and {rest} more" if rest > 0 else "")


class _Teller:
    """Says each action as it is done: one line of text, or one of JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def __call__(self, action: "Action") -> None:
        if self._as_json:
            _json_line(action)
            return
        kind = click.style(action.kind.replace("_", " "), fg=COLOURS.get(action.kind), bold=True)
        click.echo(f"{output.when(action.at)}  {kind}: {action.what}")
        sys.stdout.flush()


def _teller(*, as_json: bool) -> _Teller:
    return _Teller(as_json=as_json)


def _json_line(value: object) -> None:
    click.echo(msgspec.json.encode(value).decode())
    sys.stdout.flush()


def _seconds(every: str) -> float | None:
    if not every:
        return None
    try:
        return seconds(msgspec.convert(every, Duration))
    except msgspec.ValidationError:
        raise invalid(f"{every!r} is no duration", where="--every", fix="write it such as 15m, 24h or 7d") from None
