"""Make Python of a cell: IPython's magics and shell lines become equivalents or `pass`, line for line.

In: the source of a code cell. Out: Python with as many lines, and what stood there. Called by `flow.py`, by run and by
convert. Most cells have no magic and come back as they are.
"""

import re
from typing import Literal

import msgspec

from roadworthy.notebooks.languages import LANGUAGE_MAGICS
from roadworthy.notebooks.notebook import Cell

MagicKind = Literal["line", "cell", "shell", "help"]


class Magic(msgspec.Struct, frozen=True):
    """A magic or shell line that stood in a cell.

    Args:
        line: in the cell, from 1.
        kind: `%line`, `%%cell`, `!shell` or help (`x?`).
        name: of the magic, such as matplotlib; of a shell line, its program.
        text: what follows the name.
        binds: the names it makes.
        foreign: whether the rest of the cell is another language.
        local: whether what the cell defines stays inside it (`%%timeit`).
        opaque: whether it makes names that cannot be known (`%run`, `%pylab`).
        reads: names that a shell line takes from Python, if they exist.
    """

    line: int
    kind: MagicKind
    name: str
    text: str
    binds: tuple[str, ...] = ()
    foreign: bool = False
    local: bool = False
    opaque: bool = False
    reads: tuple[str, ...] = ()


class Translated(msgspec.Struct, frozen=True):
    """A cell as Python, and the magics that stood in it."""

    python: str
    magics: tuple[Magic, ...] = ()


# Programs that automagic takes for `%cd`, `%pip` and so on without the mark.
_BARE_AUTOMAGIC = re.compile(r"^(pip install|conda install|cd|ls|cat|mkdir) [\w./~-]")
_MAY_HOLD = re.compile(r"^[ \t]*(?:[%!?]|(?:pip|conda|mamba|cd|ls|cat|mkdir) )|\?[ \t]*$|=[ \t]*[%!][^=]", re.MULTILINE)
_MAGIC = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>%%?|!!?)(?P<rest>.*)$")
_ASSIGNED = re.compile(
    r"^(?P<indent>[ \t]*)(?P<target>[\w.,\s\[\]'\"*]+?)[ \t]*(?<![=<>!+*/%&|^-])=[ \t]*(?P<mark>[%!])(?P<rest>[^=].*)$"
)
_HELP = re.compile(
    r"^(?P<indent>[ \t]*)(?:\?{1,2}(?P<before>[\w.*%]+)|(?P<after>%{0,2}[\w.*]+(?:\(\))?)\?{1,2})[ \t]*;?$"
)
_NAMES = re.compile(r"[A-Za-z_]\w*")
_SHELL_NAMES = re.compile(r"(?<!\$)\{([^{}\s]+)\}|(?<![\\$])\$([a-z_]\w*)")

# Magics whose argument is a statement, run as if it stood there.
_RUNS_STATEMENT = {"time", "prun", "memit", "mprun", "lprun", "timeit", "debug", "snakeviz", "pyinstrument"}
_RUNS_BODY = _RUNS_STATEMENT | {
    "capture", "px", "notify", "scalene", "heat", "wandb", "blackcellmagic", "black", "skip", "python", "python3",
    "pyspark", "spark", "local", "with_config", "manim", "save", "mlflow", "ai_off", "suppress", "time_it", "chime",
    "aimport", "autoreload", "matplotlib", "script_off", "nbdev", "export", "add_to", "solution", "stopwatch",
}  # fmt: skip
_LOCAL = {"timeit", "prun", "memit"}
_OPAQUE = {"run", "pylab", "load", "loadpy", "rerun", "recall", "macro", "edit", "import_notebook", "run_notebook"}
_TIME_FLAGS = re.compile(r"^(?:\s*-{1,2}[a-zA-Z][\w-]*(?:[ =](?:\d+|\w+\.\w+|\w+(?=\s+\S)))?)*\s*")
_OUT_FLAG = re.compile(r"(?:^|\s)(?:-o|--out|--output)[ =]+([A-Za-z_][\w,]*)")
_IN_FLAG = re.compile(r"(?:^|\s)(?:-i|--input|--inputs)[ =]+([A-Za-z_][\w,]*)")


def to_python(cell: Cell) -> str:
    """The cell as Python, with as many lines."""
    return translate(cell.source).python


def translate(source: str) -> Translated:
    r"""A cell's source as Python, and its magics.

    >>> translate("%matplotlib inline\\nfiles = !ls").python
    "pass\\nfiles = get_ipython().getoutput('ls')"
    """
    if not _MAY_HOLD.search(source):
        return Translated(source)
    return _Translation(source).made()


class _Translation:
    def __init__(self, source: str) -> None:
        self.lines = source.split("\n")
        self.out: list[str] = []
        self.magics: list[Magic] = []

    def made(self) -> Translated:
        at = self._cell_magics()
        if at is None:
            return Translated("\n".join(self.out), tuple(self.magics))
        inside = _Inside()
        while at < len(self.lines):
            line = self.lines[at]
            if inside.plain():
                used = self._line(at)
                if used:
                    at += used
                    continue
            inside.after(line)
            self.out.append(line)
            at += 1
        return Translated("\n".join(self.out), tuple(self.magics))

    def _cell_magics(self) -> int | None:
        """Put `%%magics` at the top aside: the line after them, or None when the rest is another language."""
        at = 0
        while at < len(self.lines):
            stripped = self.lines[at].strip()
            if not stripped or stripped.startswith("#"):
                self.out.append(self.lines[at])
                at += 1
                continue
            if not stripped.startswith("%%"):
                return at
            name, _, rest = stripped[2:].strip().partition(" ")
            rest = rest.strip()
            python = self._cell_magic(at, name, rest)
            self.out.append(python)
            at += 1
            if self.magics[-1].foreign:
                self.out += [""] * (len(self.lines) - at)
                return None
        return at

    def _cell_magic(self, at: int, name: str, rest: str) -> str:
        made = _names_after(_OUT_FLAG, rest)
        foreign = name not in _RUNS_BODY and (name in LANGUAGE_MAGICS or not self._body_is_python(at + 1))
        if name == "capture":
            made += [w for w in rest.split() if w.isidentifier()]
        if LANGUAGE_MAGICS.get(name) == "sql" and "<<" in rest:
            made += _NAMES.findall(rest.partition("<<")[0])[-1:]
        self.magics.append(
            Magic(
                at + 1, "cell", name, rest, tuple(made), foreign=foreign, local=name in _LOCAL,
                opaque=name in {"cython", "px", "add_to"},
            )
        )  # fmt: skip
        parts = [f"{name} = None" for name in made]
        reads = _names_after(_IN_FLAG, rest)
        if name in _RUNS_STATEMENT and rest and not foreign:
            statement = _TIME_FLAGS.sub("", rest)
            if _is_python(statement):
                parts.append(statement)
        return "; ".join([*reads, *parts]) or "pass"

    def _body_is_python(self, start: int) -> bool:
        body = "\n".join(self.lines[start:])
        return _is_python(translate(body).python if _MAY_HOLD.search(body) else body)

    def _line(self, at: int) -> int:
        """Translate the magic at a line; how many lines it took, 0 when there is none."""
        line = self.lines[at]
        stripped = line.lstrip()
        if not stripped or stripped[0] == "#":
            return 0
        first = stripped[0]
        if first in "%!" and (found := _MAGIC.match(line)):
            whole, used = self._continued(at, found["rest"])
            self._put(found["indent"] + self._magic(at, found["mark"], whole), used)
            return used
        if ("%" in line or "!" in line) and (found := _ASSIGNED.match(line)):
            whole, used = self._continued(at, found["rest"])
            target = found["target"].strip()
            call = self._assigned(at, target, found["mark"], whole)
            self._put(f"{found['indent']}{target} = {call}", used)
            return used
        if "?" in line and (found := _HELP.match(line)):
            asked = found["before"] or found["after"]
            self.magics.append(Magic(at + 1, "help", asked, ""))
            self._put(found["indent"] + "pass", 1)
            return 1
        if first in "pclmru" and _BARE_AUTOMAGIC.match(stripped) and not _is_python(stripped):
            name, _, rest = stripped.partition(" ")
            kind: MagicKind = "line" if name in {"pip", "conda", "cd"} else "shell"
            self.magics.append(Magic(at + 1, kind, name, rest.strip()))
            self._put(line[: len(line) - len(stripped)] + "pass", 1)
            return 1
        return 0

    def _continued(self, at: int, rest: str) -> tuple[str, int]:
        """The text of a magic that goes on over lines ending with a backslash; and how many lines it takes."""
        used = 1
        while rest.endswith("\\") and at + used < len(self.lines):
            rest = rest[:-1] + " " + self.lines[at + used].strip()
            used += 1
        return rest, used

    def _put(self, python: str, used: int) -> None:
        self.out.append(python)
        self.out += [""] * (used - 1)

    def _magic(self, at: int, mark: str, rest: str) -> str:
        if mark[0] == "!":
            command = rest.strip()
            names = _shell_names(command)
            self.magics.append(Magic(at + 1, "shell", _program(command), command, reads=tuple(names)))
            return _with_reads(f"get_ipython().system({command!r})", names)
        name, _, argument = rest.strip().partition(" ")
        argument = argument.strip()
        if mark == "%%":  # below the top of the cell: IPython refuses it
            self.magics.append(Magic(at + 1, "cell", name, argument))
            return "pass"
        made = _names_after(_OUT_FLAG, argument) if name in {"R", "sql", "bigquery"} else []
        if name == "store" and argument.startswith("-r"):
            made += _NAMES.findall(argument[2:])
        if name == "sql" and "<<" in argument:
            made += _NAMES.findall(argument.partition("<<")[0])[-1:]
        self.magics.append(Magic(at + 1, "line", name, argument, tuple(made), opaque=name in _OPAQUE))
        if name in _RUNS_STATEMENT:
            statement = _TIME_FLAGS.sub("", argument)
            if _is_python(statement) and statement:
                return statement if name not in _LOCAL or _is_expression(statement) else "pass"
            return "pass"
        if name == "pylab":
            return "from pylab import *"
        return "; ".join(f"{each} = None" for each in made) or "pass"

    def _assigned(self, at: int, target: str, mark: str, rest: str) -> str:
        binds = tuple(_NAMES.findall(target.partition("[")[0].partition(".")[0]))
        if mark == "!":
            command = rest.strip()
            names = _shell_names(command)
            self.magics.append(Magic(at + 1, "shell", _program(command), command, binds, reads=tuple(names)))
            call = f"get_ipython().getoutput({command!r})"
            return f"({call}, {', '.join(names)})[0]" if names else call
        name, _, argument = rest.strip().partition(" ")
        self.magics.append(Magic(at + 1, "line", name, argument.strip(), binds))
        statement = _TIME_FLAGS.sub("", argument)
        if name in _RUNS_STATEMENT and _is_expression(statement):
            return statement
        return f"get_ipython().run_line_magic({name!r}, {argument.strip()!r})"


class _Inside:
    """Whether the next line begins inside a text in triple quotes, inside brackets or after a backslash."""

    _SIGN = re.compile(r"\\.|\"\"\"|'''|\"|'|#|[(\[{]|[)\]}]")

    def __init__(self) -> None:
        self.quote = ""
        self.depth = 0
        self.goes_on = False

    def plain(self) -> bool:
        return not (self.quote or self.depth or self.goes_on)

    def after(self, line: str) -> None:
        for found in self._SIGN.finditer(line):
            sign = found[0]
            if sign[0] == "\\":
                continue
            if self.quote:
                if sign == self.quote:
                    self.quote = ""
            elif sign == "#":
                break
            elif sign[0] in "\"'":
                self.quote = sign
            elif sign in "([{":
                self.depth += 1
            else:
                self.depth = max(self.depth - 1, 0)
        if len(self.quote) == 1 and not line.endswith("\\"):
            self.quote = ""  # an unclosed text ends with its line
        self.goes_on = line.endswith("\\") and not self.quote


def _program(command: str) -> str:
    words = command.split()
    while words and ("=" in words[0] or words[0] in {"sudo", "time", "yes", "|", "exec"}):
        words = words[1:]
    return words[0] if words else ""


def _shell_names(command: str) -> list[str]:
    """The Python names that IPython puts into a shell line: `{x}` and `$x`."""
    if "{" not in command and "$" not in command:
        return []
    asked = [braces or dollar for braces, dollar in _SHELL_NAMES.findall(command)]
    return [name for name in asked if name.isidentifier()]


def _with_reads(call: str, names: list[str]) -> str:
    return f"{call}, {', '.join(names)}" if names else call


def _names_after(flag: re.Pattern[str], text: str) -> list[str]:
    return [name for found in flag.findall(text) for name in found.split(",") if name.isidentifier()]


def _is_python(text: str) -> bool:
    try:
        compile(text, "<cell>", "exec", 0x400, dont_inherit=True)  # the flag: make a tree, no code
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _is_expression(text: str) -> bool:
    try:
        compile(text, "<cell>", "eval", 0x400, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
