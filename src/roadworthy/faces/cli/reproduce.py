"""`rw reproduce`: run a run again and compare it step by step."""

from typing import Any

import click

from roadworthy.faces.cli import output, place
from roadworthy.nouns.errors import EXIT_CODES, Code


@click.command(
    name="reproduce",
    epilog="""\b
Examples:
  rw reproduce latest
  rw reproduce 3f2a91 --tolerance 1e-6
  rw reproduce 3f2a91 --same-environment     without rebuilding the environment (offline, say)

\b
Exit codes: 0 identical or within tolerance, 3 no such run, 5 a step came out differently, 6 the environment cannot be
rebuilt.""",
)
@click.argument("run")
@click.option(
    "--tolerance", type=click.FloatRange(min=0.0), default=1e-9, show_default=True,
    help="Largest difference of two numbers that is not one, relative to the greater of 1 and their size.",
)  # fmt: skip
@click.option("--same-environment", is_flag=True, help="Run in this environment; do not rebuild the recorded one.")
@output.json_option
def command(*, run: str, tolerance: float, same_environment: bool, as_json: bool) -> Any:
    """Rebuild a run's environment, restore its code and data, run it again, and say step by step what came out.

    RUN is a run's id, the beginning of one, or `latest`.
    """
    # What compares tables and models is loaded here alone.
    from roadworthy.pipelines import reproduce
    from roadworthy.registry import runs

    here, store = place.open_here()
    with store:
        found = runs.get(store, run, here.project.name)
        if run == runs.LATEST and found.reproduces:
            found = runs.get(store, found.reproduces)  # the repetition of a run is not the one meant
        options = reproduce.Options(tolerance=tolerance, same_environment=same_environment)
        made = reproduce.reproduce(store, here, found, options=options, progress=output.say)
    if as_json:
        output.print_json(made)
    else:
        _show(made)
    return 0 if made.reproduced else EXIT_CODES[Code.REFUSED]


def _show(made: Any) -> None:
    output.table(["step", "", ""], [(each.step, each.verdict, each.found) for each in made.steps])
    where = "a rebuilt environment" if made.environment == "rebuilt" else "this environment"
    if made.differences and made.environment == "same":
        more = f" and {len(made.differences) - 5} more" if len(made.differences) > 5 else ""
        click.echo(f"this environment is not the recorded one: {', '.join(made.differences[:5])}{more}")
    if made.reproduced:
        same = all(each.verdict == "identical" for each in made.steps)
        click.echo(f"run {made.run[:12]} is reproduced in {where}: {'identical' if same else 'within tolerance'}")
        click.echo(f"the repetition is run {made.again[:12]}")
        return
    click.echo(f"run {made.run[:12]} is not reproduced in {where}; first divergent step: {made.divergent}")
    click.echo(f"likely cause: {made.cause}")
