"""`rw notebook`: what notebooks are asked for. Each command is a module here, loaded when it is used.

A module has a click command called `command`; it decodes, calls one function of notebooks/, and shows what came back.
"""

import importlib

import click

# command -> one line of help; the order is that of the work
COMMANDS: dict[str, str] = {
    "check": "Find what keeps notebooks from production.",
    "graph": "Draw how values go from cell to cell.",
    "run": "Run a notebook with parameters, tracked as a run.",
    "convert": "Write a pipeline that does the same, and prove it.",
    "diff": "Show how two versions differ, outputs aside.",
    "sync": "Keep a notebook and its script the same.",
    "clean": "Strip outputs and passing metadata.",
}


class Notebooks(click.Group):
    """Loads a command's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [name for name in COMMANDS if _exists(name)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS or not _exists(cmd_name):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        if command.help:
            command.help = command.help.replace("\\b\n", "\b\n")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


@click.group(cls=Notebooks)
def command() -> None:
    r"""Check, draw, run, convert and keep notebooks.

    \b
    Examples:
      rw notebook check .               every notebook below, with what to do about it
      rw notebook graph train.ipynb     how values go from cell to cell
    """


def _exists(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(f"{__name__}.{name}") is not None
