"""`rw`: the command line. Verbs are loaded by name when they are used, so that `rw --version` loads none.

A verb is one file, `faces/cli/<verb>.py`, with a click command called `command`; it decodes, calls one function of a
room, and shows what came back.
"""

import importlib
import io
import os
import sys
from typing import Any, NoReturn

import click

from roadworthy.nouns.version import __version__
from roadworthy.store.garbage import uncollected

# verb -> (module, one line of help); the order is the order of the road
VERBS: dict[str, tuple[str, str]] = {
    "new": ("new", "Start a project that runs at once."),
    "notebook": ("notebook", "Check, draw, run and convert notebooks."),
    "data": ("data", "Take, list, check and restore snapshots of data."),
    "run": ("run", "Run the pipeline; only what changed runs."),
    "runs": ("runs", "List, show and compare runs."),
    "reproduce": ("reproduce", "Run a run again and compare it step by step."),
    "models": ("models", "List and show registered models and their aliases."),
    "gate": ("gate", "Judge a model by the project's rules and issue its certificate."),
    "approve": ("approve", "Record a person's approval of a model."),
    "certificate": ("certificate", "Show, export and verify certificates."),
    "release": ("release", "Plan and apply a release to a target."),
    "rollback": ("rollback", "Go back to the release before."),
    "status": ("status", "What is live on each target, and what was seen of it."),
    "labels": ("labels", "Add true labels for rows that were served."),
    "watch": ("watch", "Ask the monitors about served traffic."),
    "operate": ("operate", "Watch, retrain, gate and release in a loop."),
    "server": ("server", "Serve tracking and the registry to MLflow's clients."),
    "import": ("import_", "Take everything of an existing MLflow."),
    "export": ("export", "Send runs and models to a server that speaks MLflow's protocol."),
    "report": ("report", "Write the project's report as one HTML file."),
    "audit": ("audit", "Read, verify and checkpoint the log of changes."),
    "gc": ("gc", "Free the space of what nothing needs any more."),
    "backup": ("backup", "Back up the store while it is in use."),
    "restore": ("restore", "Make the store from its backup, every byte checked."),
    "schema": ("schema", "Print the JSON Schema of roadworthy.toml."),
    "completion": ("completion", "Print the script that completes commands in your shell."),
}

# What nouns/errors.py says, in words; a test holds the two together.
EXIT_CODES = [
    ("0", "done"),
    ("2", "invalid: the input is wrong, and will fail again"),
    ("3", "not found: what is named does not exist"),
    ("4", "conflict: not in this state, or another process holds the lock"),
    ("5", "refused: a rule, a missing certificate or a missing permission says no"),
    ("6", "unavailable: something that is needed does not answer, or is full"),
    ("70", "internal: a defect of Roadworthy"),
    ("130", "interrupted"),
]


class Road(click.Group):
    """Loads a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        with uncollected():  # modules are no garbage
            module = importlib.import_module(f"roadworthy.faces.cli.{VERBS[cmd_name][0]}")
        command: click.Command = module.command
        _mark_blocks(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])
        with formatter.section("Exit codes"):
            formatter.write_dl(EXIT_CODES)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        # Without loading the verbs: a shell asks at every press of the key.
        if not incomplete.startswith("-"):
            return [CompletionItem(v, help=line) for v, (_, line) in VERBS.items() if v.startswith(incomplete)]
        return super().shell_complete(ctx, incomplete)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        verb = click.utils.make_str(args[0])
        if verb not in VERBS and not verb.startswith("-"):
            import difflib

            near = difflib.get_close_matches(verb, VERBS, n=1)
            hint = f" Did you mean `rw {near[0]}`?" if near else ""
            ctx.fail(f"no such command: {verb}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=Road, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", "-V", prog_name="rw")
@click.option("--debug", is_flag=True, help="On a defect, print the whole traceback.")
@click.pass_context
def rw(ctx: click.Context, debug: bool) -> None:  # noqa: FBT001 - click passes by name
    r"""From notebook to monitored production, with a certificate for every model.

    \b
    Start here:
      rw new my-model && cd my-model
      rw run          train
      rw gate         judge, and certify
      rw release      serve
    """
    ctx.obj = {"debug": debug}


def _mark_blocks(command: click.Command) -> None:
    r"""Make of a written `\b` the backspace by which click knows a block that it must not fill.

    Docstrings are raw, as the linter asks of those with a backslash.
    """
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _mark_blocks(below)


_mark_blocks(rw)


def main() -> None:
    """Run a command; faults become one message and their own exit code."""
    # A name with bytes that are no text, or a terminal that knows only ASCII, must not end a command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # OpenMP's threads (boosted trees, k-means) spin while they wait; on shared cores, such as two steps on two, that
    # takes several times as long as sleeping. What is computed stays the same. Child processes inherit it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = rw.main(standalone_mode=False, prog_name="rw")
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.format_message())
        sys.exit(0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.stderr.write("stopped\n")
        sys.exit(130)
    except BrokenPipeError:
        _reader_left()
    except Exception as problem:
        from roadworthy.faces.cli import output

        try:
            code = output.failure(problem, debug="--debug" in sys.argv)
        except BrokenPipeError:
            _reader_left()
        sys.exit(code)
    sys.exit(code if isinstance(code, int) else 0)


def _reader_left() -> NoReturn:
    """Whoever read our output has enough (`rw runs | head`); Python must not complain of it while it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    sys.exit(0)


if __name__ == "__main__":
    main()
