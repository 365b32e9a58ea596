"""`rw run`: run the pipeline; only what changed runs."""

import sys
from typing import Any

import click

from roadworthy.faces.cli import output, place
from roadworthy.pipelines import runner


@click.command(
    name="run",
    epilog="""\b
Examples:
  rw run                        what changed since the last run, and what depends on it
  rw run --explain              why each step would run or be reused
  rw run --set learning_rate=0.05
  rw run --from train           that step again, and all that needs it
  rw run --only evaluation      that step, and what it needs

\b
Exit codes: 0 finished, 1 a step failed, 2 the project is wrong, 4 it is being run already, 5 the data breaks its
contract.""",
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter for this run.")
@click.option("--only", metavar="STEP", default="", help="Run only this step and what it needs.")
@click.option("--from", "start_from", metavar="STEP", default="", help="Run this step and all that needs it, again.")
@click.option("--force", is_flag=True, help="Run even what could be reused.")
@click.option("--explain", is_flag=True, help="Say for each step why it would run or be reused; run nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would run; run nothing.")
@click.option("--name", default="", help="Call the run something.")
@output.json_option
def command(*, explain: bool, dry_run: bool, as_json: bool, **chosen: Any) -> Any:
    """Run the pipeline of this project; steps whose code, inputs, parameters and libraries are unchanged are reused."""
    options = runner.RunOptions(command=" ".join(["rw", *sys.argv[1:]])[:1000], **chosen)
    here, store = place.open_here()
    with store:
        if explain or dry_run:
            return _explain(runner.explain(store, here, options=options), as_json=as_json, brief=not explain)
        from roadworthy.faces.cli import run_shown

        place.check_rules(here)
        return run_shown.run(store, here, options, as_json=as_json)


def _explain(found: runner.Explanation, *, as_json: bool, brief: bool) -> None:
    if as_json:
        steps = [
            {"step": d.step, "action": d.action, "why": d.why, "key": d.key, "unsure": d.unsure}
            for d in found.steps.values()
        ]
        output.print_json({"steps": steps, "data": found.data})
        return
    for data, why in found.data.items():
        click.echo(f"data {data}: {why}")
    words = {"run": "would run", "reuse": "reused", "wait": "depends"}
    output.table(["step", "", "why"], [(d.step, words[d.action], d.why) for d in found.steps.values()])
    if brief:
        count = sum(d.action == "run" for d in found.steps.values())
        click.echo(f"{count} of {len(found.steps)} steps would run")
