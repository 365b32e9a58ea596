"""The magics: `%rw COMMAND…` runs the command line, `%%rw step NAME` makes a step of a cell and runs it.

In: what the user wrote behind the magic. Out: text and displays. Registered by `extension.py`.
"""

import shlex
import subprocess
import sys
from typing import Any

from roadworthy.notebooks.jupyter import steps
from roadworthy.notebooks.jupyter.live import Live
from roadworthy.nouns.errors import Fault, invalid

USAGE = (
    "%rw status, %rw run, %rw runs show latest, … any command of rw; %rw findings on|off; %%rw step NAME over a cell"
)


def register(shell: Any, live: Live) -> None:
    """Let the shell know them."""

    def rw(line: str, cell: str | None = None) -> None:
        try:
            _do(shell, live, line, cell)
        except Fault as fault:
            # One message, as on the command line.
            sys.stderr.write(f"{fault.code.replace('_', ' ')}: {fault}\n")

    rw.__doc__ = USAGE
    shell.register_magic_function(rw, magic_kind="line_cell", magic_name="rw")


def _do(shell: Any, live: Live, line: str, cell: str | None) -> None:
    try:
        words = shlex.split(line)
    except ValueError as problem:
        raise invalid(f"the line cannot be read: {problem}", where=f"%rw {line}", fix=USAGE) from None
    if cell is not None:
        if not words or words[0] != "step" or len(words) < 2:
            raise invalid("a cell is made a step as %%rw step NAME", where=f"%%rw {line}", fix="%%rw step features")
        force = "--force" in words[2:]
        unknown = [word for word in words[2:] if word != "--force"]
        if unknown:
            raise invalid(f"`{unknown[0]}` is not known", where=f"%%rw {line}", fix="%%rw step NAME [--force]")
        steps.run(shell, words[1], cell, force=force)
        return
    if not words:
        sys.stdout.write(f"{USAGE}\n")
    elif words[0] == "findings" and words[1:] in (["on"], ["off"]):
        live.on = words[1] == "on"
        sys.stdout.write(f"findings are {words[1]}\n")
    else:
        _command(words)


def _command(words: list[str]) -> None:
    """Run `rw` and show what it says as it comes."""
    command = [sys.executable, "-m", "roadworthy", *words]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        try:
            for said in process.stdout:
                sys.stdout.write(said)
        except KeyboardInterrupt:
            process.terminate()
            raise
    if process.returncode:
        sys.stderr.write(f"exit code {process.returncode}\n")
