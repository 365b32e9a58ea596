"""`rw approve`: record a person's approval of a model version."""

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_here
from roadworthy.gates import approvals
from roadworthy.registry import models


@click.command("approve")
@click.argument("model")
@click.option("--role", required=True, help="In which role, such as ml-engineer.")
@click.option("--comment", default="", help="Why, for those who look later.")
@output.json_option
def command(model: str, role: str, comment: str, *, as_json: bool) -> None:
    """Record that you approve a model, in a role; rules ask for it as approvals.count("ROLE").

    MODEL is a name (its newest version), name@3 or name@champion. The approval is of that one version, and made under
    your login name. A role counts people: approving twice counts once.

    \b
    Examples:
      rw approve late-flights --role ml-engineer --comment "slices look fair"
      rw approve late-flights@3 --role owner
    """  # noqa: D301 - click's mark is the control character
    place, store = open_here()
    with store:
        judged = models.require_adopted(models.get(store, model))
        made = approvals.approve(store, judged.id, role, comment, project=place.project.name)
        count = len({a.actor for a in approvals.listing(store, judged.id) if a.role == role})
    if as_json:
        output.print_json(made)
        return
    click.echo(f"{made.model} approved by {made.actor} as {role}; approvals.count({role!r}) is now {count}")
