"""`rw export`: our runs and models to a server that speaks MLflow's protocol."""

import click

from roadworthy.faces.cli import moved, output
from roadworthy.faces.cli.place import open_anywhere


@click.command()
@click.argument("uri")
@click.option("--project", default="", help="Only this project's. [default: all]")
@output.json_option
def command(uri: str, project: str, *, as_json: bool) -> None:
    r"""Send runs and models to any server that speaks MLflow's protocol, Databricks among them.

    Ids and numbers are given by the server; what they are called here is in the tags roadworthy.run and
    roadworthy.model. What was sent is not sent again, so it may be stopped and started again. Credentials come from the
    environment, as MLflow's clients find them.

    \b
    Examples:
      rw export http://mlflow.example:5000
      rw export databricks --project flights
    """
    from roadworthy.faces.moving.exporter import Exporter
    from roadworthy.registry.remote import Remote

    remote = Remote(uri)
    try:
        with open_anywhere() as store:
            report = Exporter(store, remote, project=project, tell=output.say).send()
    finally:
        remote.close()
    counts = [
        ("runs", f"{report.runs:,}{moved.present(report.runs_present, 'there')}"),
        ("files", f"{report.files:,}"),
        ("models", f"{report.models:,} with {report.versions:,} new versions"),
    ]
    moved.show(report, counts, as_json=as_json)
