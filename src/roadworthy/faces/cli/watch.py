"""`rw watch`: ask the monitors about served traffic, and show what they found."""

from typing import TYPE_CHECKING

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_here
from roadworthy.nouns.errors import EXIT_CODES, Code

if TYPE_CHECKING:
    from roadworthy.nouns.monitor import Alert, Drift, Window

DRIFTED_SHOWN_MAX = 12
MARKS = {"breach": "red", "warning": "yellow", "held": "green"}


@click.command()
@click.option("--all", "everything", is_flag=True, help="Show every stored window, not only those judged now.")
@click.option("--last", default=0, type=click.IntRange(0, 10_000), help="Show the last N stored windows.")
@click.option(
    "--window", "length", default="", help="Ask about windows of another length once, such as 7d; nothing is stored."
)
@click.option("--fail-on-alert", is_flag=True, help="Exit with 5 when an alert is open.")
@output.json_option
@click.pass_context
def command(
    ctx: click.Context, last: int, length: str, *, everything: bool, fail_on_alert: bool, as_json: bool
) -> None:
    """Ask the project's monitors about each window of served traffic that has ended.

    Windows are stored; one is judged again when more of its rows or labels have come. A rule that does not hold opens
    an alert, which a later window closes.

    \b
    Examples:
      rw watch
      rw watch --last 3
      rw watch --json --fail-on-alert
    """  # noqa: D301 - click's mark for lines that stay as they are
    from roadworthy.operate import alerts, journal, monitors, windows

    place, store = open_here()
    with store:
        now = journal.present(store, place.project.name)
        if length:
            found = monitors.look(store, place, length, until=now)
        else:
            found = monitors.watch(store, place, until=now, progress=output.say)
            if everything or last or not found:
                stored = windows.listing(store, place.project.name)
                found = stored if everything else stored[-(last or 1) :]
        opened = alerts.open_alerts(store, place.project.name)
    if as_json:
        output.print_json({"windows": found, "alerts": opened})
    else:
        show(found, opened)
    if fail_on_alert and opened:
        ctx.exit(EXIT_CODES[Code.REFUSED])


def show(found: "list[Window]", opened: "list[Alert]") -> None:
    """Each window with its rules and what drifted; then the alerts that are open."""
    if not found:
        click.echo("no window has ended yet, or nothing was served")
    for window in found:
        _show_window(window)
    for alert in opened:
        since = output.when(alert.opened_at)
        click.echo(
            click.style(f"alert open since {since}: ", fg="red", bold=True) + f"{alert.monitor} on {alert.model}"
        )
        click.echo(f"  {alert.summary}")


def _show_window(window: "Window") -> None:
    from roadworthy.operate.monitors import verdict

    said = verdict(window)
    head = f"{window.monitor}  {window.model}  {_day(window.start)} to {_day(window.end)}"
    click.echo(click.style(f"{head}  {said}", fg=MARKS.get(said), bold=True))
    click.echo("  " + ", ".join(_figures(window)))
    for outcome in window.outcomes:
        mark = click.style("held  ", fg="green") if outcome.passed else click.style("broken", fg="red")
        measured = ", ".join(f"{path} = {_number(value)}" for path, value in outcome.measured.items())
        click.echo(
            f"  {mark} {outcome.name}" + (f"  ({outcome.problem or measured})" if measured or outcome.problem else "")
        )
    for name, reason in window.waiting.items():
        click.echo(f"  waits  {name}  ({reason})")
    moved = sorted((d for d in window.drift if d.verdict != "none"), key=lambda d: -d.psi)
    if moved:
        click.echo()
        output.table(
            ["  column", "drift", "psi", "effect", "wasserstein", "p adjusted", "missing"],
            [_row(d) for d in moved[:DRIFTED_SHOWN_MAX]],
        )
        if len(moved) > DRIFTED_SHOWN_MAX:
            click.echo(f"  and {len(moved) - DRIFTED_SHOWN_MAX} more; --json shows all")
    click.echo()


def _figures(window: "Window") -> list[str]:
    """What was seen, in a few words each."""
    from roadworthy.operate.monitors import primary

    facts = window.facts
    said = [f"{window.rows:,} rows"]
    if "change" in facts.get("volume", {}):
        said.append(f"{facts['volume']['change']:+.0%} traffic")
    if facts.get("latency"):
        said.append(f"p99 {facts['latency']['p99_ms']:.3g} ms")
    if facts.get("missing", {}).get("max"):
        said.append(f"up to {facts['missing']['max']:.1%} missing")
    performance = facts.get("performance", {})
    found = primary({k: v for k, v in performance.items() if isinstance(v, float)})
    said.append(f"{window.labelled:,} labelled" + (f", {found[0]} {found[1]:.4f}" if found else ""))
    return said


def _row(found: "Drift") -> list[object]:
    spread = None if found.wasserstein is None else round(found.wasserstein, 3)
    return [
        f"  {found.column}",
        found.verdict,
        round(found.psi, 3),
        f"{found.effect:.3f} {'KS' if found.kind == 'number' else 'V'}",
        spread,
        f"{found.p_adjusted:.1e}" if found.p_adjusted < 0.001 else round(found.p_adjusted, 3),
        f"{found.missing:.1%}" if found.missing or found.missing_reference else "0",
    ]


def _day(moment: float) -> str:
    text = output.when(moment)
    return text.removesuffix(" 00:00:00")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
