"""`rw schema`: the JSON Schema of roadworthy.toml, for editors and checks."""

import click

from roadworthy.store import project_file


@click.command(name="schema")
def command() -> None:
    r"""Print the JSON Schema of roadworthy.toml.

    \b
    Editors that know TOML (Even Better TOML, taplo) complete and check the file with
      rw schema > roadworthy.schema.json
    and this as the first line of roadworthy.toml:
      #:schema ./roadworthy.schema.json
    """
    click.echo(project_file.schema().decode(), nl=False)
