"""Rules about what only Jupyter or Databricks understands: magics, shell lines, installs, dbutils."""

import ast
import re
from collections.abc import Iterator

from roadworthy.notebooks.dataflow.python import Magic
from roadworthy.notebooks.rules.finding import Edit, Finding, Severity
from roadworthy.notebooks.rules.subject import Subject, literal

_INSTALLS = re.compile(
    r"(?:^|[\s;&|/!])(?:pip[23]?(?:\.\d+)?|conda|mamba|micromamba|apt|apt-get|brew|yum|uv)(?:\s+-\S+)*\s+(?:pip\s+)?"
    r"(?:install|add|update|upgrade)\b"
)
# What stands in their place in a module; magics that are not here change nothing outside the notebook.
_INSTEAD = {
    "run": "import what it defines",
    "load": "put the code into the cell, or import it",
    "loadpy": "put the code into the cell, or import it",
    "store": "write and read a file",
    "env": "set it outside, or with os.environ",
    "set_env": "set it outside, or with os.environ",
    "pylab": "import numpy as np and matplotlib.pyplot as plt",
    "writefile": "keep the file in version control",
    "file": "keep the file in version control",
    "edit": "write the code here",
    "macro": "write a function",
    "recall": "write the code here",
    "rerun": "write a loop",
    "reset": "restart the kernel instead",
    "reset_selective": "restart the kernel instead",
    "debug": "remove it when you have found the cause",
    "pdb": "remove it when you have found the cause",
    "sql": "read with pandas.read_sql",
    "bigquery": "read with the client library",
    "R": "call R with subprocess, or write it in Python",
    "cython": "build a module",
    "bash": "write Python, or run it with subprocess",
    "sh": "write Python, or run it with subprocess",
    "script": "write Python, or run it with subprocess",
    "system": "run it with subprocess",
    "sx": "run it with subprocess",
    "px": "use a process pool",
}
_LOOKS_ONLY = frozenset({"ls", "pwd", "cat", "head", "tail", "echo", "wc", "nvidia-smi", "date", "which", "tree", "du"})


class Installs:
    """A cell installs packages.

    What it installs depends on the day, changes the environment of every other notebook, and is in no lock: the run
    cannot be reproduced. `!pip` may even install into another Python than the kernel's.

    Fix: add the packages to the project's dependencies, and lock them.
    """

    code, name = "RWN204", "installs"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.flow.cells:
            for magic in cell.magics:
                told = _install(magic)
                if told:
                    yield self._finding(subject, cell.index, magic.line, told)
        for shell in subject.notebook.cells:  # not Python, and so in no flow
            if shell.kind == "code" and shell.language == "bash":
                for number, line in enumerate(shell.source.split("\n"), 1):
                    if not line.lstrip().startswith("#") and _INSTALLS.search(line):
                        yield self._finding(subject, shell.index, number, line.strip())
                        break
        for call in subject.calls:
            if call.name in {"os.system", "subprocess.run", "subprocess.call", "subprocess.check_call", "os.popen"}:
                command = _command(call.node)
                if _INSTALLS.search(command):
                    yield self._finding(subject, call.cell.index, call.node.lineno, command)

    def _finding(self, subject: Subject, index: int, line: int, what: str) -> Finding:
        shown = re.sub(r"\s+", " ", what)[:60]
        return subject.finding(
            self,
            index,
            line,
            f"`{shown}` installs packages",
            fix="add them to the project's dependencies and lock them",
        )


class MagicDoesNotSurvive:
    """A magic or shell line does what no Python module can.

    Magics exist in Jupyter only. Some only show or measure, and are left behind without loss when the notebook becomes
    a pipeline (`%matplotlib`, `%%time`, `%load_ext`, `!ls`): they are not reported. This one makes names, files or
    settings that the rest may need.

    Fix: write what it does in Python.
    """

    code, name = "RWN207", "magic"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        foreign = [
            (cell.index, magic)
            for cell in subject.notebook.cells
            if cell.kind == "code" and cell.language != "python" and subject.notebook.language == "python"
            for magic in _first(cell.source)
        ]
        here = {cell.index for cell in subject.flow.cells}
        for cell in subject.flow.cells:
            for magic in cell.magics:
                yield from self._one(subject, cell.index, magic)
        for index, magic in foreign:
            if index not in here:
                yield from self._one(subject, index, magic)

    def _one(self, subject: Subject, index: int, magic: Magic) -> Iterator[Finding]:
        mark = "%%" if magic.kind == "cell" else "%"
        if _install(magic):
            return
        if magic.kind == "shell":
            if magic.name in _LOOKS_ONLY and not magic.binds and ">" not in magic.text:
                return
            message, fix = f"`!{magic.text[:50]}` runs in a shell", "write it in Python, or run it with subprocess"
        elif magic.name in _INSTEAD:
            message, fix = f"`{mark}{magic.name}` works in Jupyter only", _INSTEAD[magic.name]
        else:
            return
        yield subject.finding(self, index, magic.line, message, fix=fix)


class HelpLine:
    """A line asks for help (`x?`).

    It shows documentation to whoever types it, and is no Python.

    Fix: remove it. `--fix` does.
    """

    code, name = "RWN208", "help-line"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.flow.cells:
            for magic in cell.magics:
                if magic.kind == "help":
                    yield subject.finding(
                        self,
                        cell.index,
                        magic.line,
                        f"`{magic.name}?` asks for help, and is no Python",
                        fix="remove the line",
                        edit=Edit(magic.line, magic.line),
                    )


class DatabricksOnly:
    """The notebook uses what exists on Databricks alone.

    `dbutils` is there in Databricks' notebooks and jobs, and nowhere else: the code cannot be tested or run elsewhere.

    Fix: take parameters as arguments (widgets), read secrets from the environment, use paths and `fsspec` for files.
    """

    code, name = "RWN209", "databricks-only"
    severity: Severity = "note"

    def find(self, subject: Subject) -> Iterator[Finding]:
        told: set[str] = set()
        for call in subject.calls:
            part = ".".join(call.name.split(".")[:2])
            if part.startswith("dbutils.") and part not in told and "dbutils" not in call.cell.defines:
                told.add(part)
                yield subject.finding(
                    self,
                    call.cell.index,
                    call.node,
                    f"`{part}` exists on Databricks alone",
                    fix=_FOR_DBUTILS.get(part, "use a library that runs anywhere"),
                )


_FOR_DBUTILS = {
    "dbutils.widgets": "take it as a parameter",
    "dbutils.secrets": "read it from an environment variable",
    "dbutils.fs": "use paths, or fsspec",
    "dbutils.notebook": "import what the other notebook defines",
    "dbutils.library": "add it to the project's dependencies",
}


def _install(magic: Magic) -> str:
    """The command of a magic or shell line that installs; empty when it does not."""
    if magic.name in {"pip", "conda", "mamba", "uv", "apt", "apt-get", "sudo"}:
        text = (
            magic.text if magic.kind == "shell" and magic.text.startswith(magic.name) else f"{magic.name} {magic.text}"
        )
        return text if _INSTALLS.search(text) else ""
    if magic.kind == "shell":
        return magic.text if _INSTALLS.search(magic.text) else ""
    return ""


def _first(source: str) -> list[Magic]:
    """The magic that makes a cell one of another language."""
    for number, line in enumerate(source.split("\n"), 1):
        if line.strip().startswith("%%"):
            name, _, rest = line.strip()[2:].partition(" ")
            return [Magic(number, "cell", name, rest.strip())]
        if line.strip() and not line.strip().startswith("#"):
            return []
    return []


def _command(node: ast.Call) -> str:
    """The words of a command that a call runs."""
    first = node.args[0] if node.args else None
    if isinstance(first, ast.List | ast.Tuple):
        return " ".join(literal(part) or "python" for part in first.elts)
    return literal(first) or ""


RULES = (Installs(), MagicDoesNotSurvive(), HelpLine(), DatabricksOnly())
