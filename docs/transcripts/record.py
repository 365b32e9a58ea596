# ruff: noqa: INP001 - a script beside the pages it writes
"""Record the transcripts of this folder by really doing what they show: `python docs/transcripts/record.py [NAME …]`.

Each is a Markdown page: what is shown, then the session. Output is left as it was, but for the path of the temporary
folder and the port. The example `examples/flights` is copied, so a demo's store is not touched, and its project is made
of its notebook, as the demo does. Takes some ten minutes.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parents[1] / "examples" / "flights"
BIN = Path(sys.executable).parent
PORT = 8600
MODEL = "late-flights"
NEW = f"rw new {MODEL} --from-notebook train.ipynb"
NOTE = "<!-- Recorded by docs/transcripts/record.py; do not edit. -->\n\n"
TELLING = re.compile(
    r"^(alert: |period \d{4}|model: |(prepared|train|holdout|evaluation|calendar|curves): r(an|eused)|comparing with"
    r"|period  "
    r"|\d{4}-\d\d-\d\d  late"
    r"|.*rows of the batch in progress"
    r"|\d{4}-\d\d-\d\d [\d:]+  (breached|retraining|released|advanced|promoted|rolled_back|refused))"
)


class Session:
    """A shell session in a project, written down.

    Args:
        root: the project's folder.
        port: the one it really uses.
    """

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.lines: list[str] = []

    def run(
        self,
        command: str,
        *,
        at: str = "",
        code: int = 0,
        show: Callable[[str], bool] = bool,
        kill_at: str = "",
        skip: int = 0,
    ) -> str:
        """Run a command and write down what it says.

        Args:
            at: the moment that the command is to think it is.
            code: the exit code expected, and shown if it is not 0.
            show: which lines to write down.
            kill_at: kill the process with signal 9 when a line matches this.
            skip: how many such lines to let pass before.
        """
        prefix = f"ROADWORTHY_NOW={at} " if at else ""
        self.lines.append(f"$ {prefix}{command}" + (" &" if kill_at else ""))
        environment = {
            **os.environ,
            "LOGNAME": "ada",
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "COLUMNS": "160",
        }
        if at:
            environment["ROADWORTHY_NOW"] = at
        words = [str(BIN / "rw") if word == "rw" else word for word in command.split()]
        said: list[str] = []
        with subprocess.Popen(
            words,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        ) as process:
            for line in process.stdout or ():
                text = self.plain(line.rstrip("\n"))
                said.append(text)
                sys.stderr.write(f"  {text}\n")
                if show(text):
                    self.lines.append(text)
                if kill_at and process.poll() is None and re.search(kill_at, text):
                    if skip:
                        skip -= 1
                        continue
                    process.send_signal(signal.SIGKILL)
                    self.lines += ["$ kill -9 %1", f"[1]+  Killed                  {prefix}{command}"]
                    break
        if not kill_at and process.returncode != code:
            raise SystemExit(f"{command} ended with {process.returncode}, {code} was expected")
        if code:
            self.lines += ["$ echo $?", str(code)]
        return "\n".join(said)

    def plain(self, text: str) -> str:
        """Output without what belongs to this machine."""
        text = text.replace(str(self.root.parent), "~").replace(str(BIN), "~/.venv/bin")
        return re.sub(rf"\b{self.port}\b", str(PORT), text)

    def take(self) -> str:
        """What was written down since the last time, as a block."""
        block = "\n".join(self.lines)
        self.lines = []
        return f"```console\n{block}\n```\n"


@contextmanager
def example() -> Iterator[Session]:
    """A copy of the example; the servers of the project that is made in it are stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="rw-transcript-") as folder:
        root = Path(folder).resolve() / "flights"
        shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns(MODEL, "__pycache__"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        try:
            yield Session(root, port)
        finally:
            if (root / MODEL).is_dir():
                subprocess.run(
                    [str(BIN / "rw"), "release", "--down"], cwd=root / MODEL, capture_output=True, check=False
                )


@contextmanager
def project() -> Iterator[Session]:
    """The project made of the example's notebook, with the settings of production, on a free port."""
    with example() as session:
        session.run(NEW, at=moment("08:30"))
        settings = session.root / MODEL / "roadworthy.toml"
        put_in = [sys.executable, "merge_toml.py", "production.toml", str(settings)]
        subprocess.run(put_in, cwd=session.root, check=True, capture_output=True)
        text = settings.read_text("utf-8").replace(f"port = {PORT}", f"port = {session.port}")
        settings.write_text(text, "utf-8")
        yield Session(settings.parent, session.port)


def moment(time: str) -> str:
    return f"2013-04-01T{time}+00:00"


def set_out(session: Session) -> None:
    """Up to a first version in production."""
    session.run("rw run", at=moment("09:00"))
    session.run("rw gate late-flights@1", at=moment("09:10"))
    session.run("rw release late-flights@1 --yes", at=moment("09:20"))


def refusals_and_kills() -> dict[str, str]:
    """A gate that fails; a run and a release that are killed."""
    with project() as session:
        session.run("rw run", at=moment("09:00"), kill_at=r"^model: running")
        session.run("rw runs")
        session.run("rw run", at=moment("09:05"))
        run = session.take()
        session.run("rw gate late-flights@1", at=moment("09:10"))
        session.run("rw release late-flights@1 --yes", at=moment("09:20"))
        session.take()
        session.run("rw run --set max_iter=1 --set max_leaf_nodes=3", at=moment("09:30"), show=after("step "))
        session.run("rw gate late-flights@2", at=moment("09:40"), code=5)
        session.run("rw release late-flights@2 --yes", at=moment("09:45"), code=5)
        session.run("rw certificate show late-flights@2", show=before("blake3"))
        gate = session.take()
        session.run("rw run --set max_leaf_nodes=63", at=moment("10:00"))
        session.run("rw gate late-flights@3", at=moment("10:10"))
        session.take()
        session.run("rw release late-flights@3 --yes", at=moment("10:20"), kill_at=r"starting$")
        session.run("rw status", show=before("rows lost"))
        session.run("rw release --continue", at=moment("10:25"))
        session.run("rw status", show=before("rows lost"))
        session.run("rw audit verify")
        release = session.take()
    return {
        "gate-fails.md": GATE.format(gate),
        "kill-run.md": RUN.format(run),
        "kill-release.md": RELEASE.format(release),
    }


def loop_and_reproduction() -> dict[str, str]:
    """The loop, killed while it retrains and while it serves; then the champion's run, done again."""
    command = "rw operate --replay source:replay --every 28d"
    with project() as session:
        set_out(session)
        session.take()
        session.run(command, show=telling, kill_at=r"^model: running")
        session.run("rw operate status", show=first(12))
        session.run(command, show=telling, kill_at=r"^period 2013-05-27")
        session.run(command, show=telling)
        session.run("rw audit verify")
        operate = session.take()
        shown = session.run("rw models show late-flights@champion")
        session.take()
        found = re.search(r"\brun\s+([0-9a-f]{12,})", shown)
        if found is None:
            raise SystemExit("the champion names no run")
        session.run("rw models show late-flights@champion", show=first(8))
        session.run(f"rw reproduce {found.group(1)[:12]}")
        reproduce = session.take()
    return {"kill-operate.md": OPERATE.format(operate), "reproduce.md": REPRODUCE.format(reproduce)}


def conversion() -> dict[str, str]:
    """The example's notebook, made into a project, proven, trained and gated as it is."""
    with example() as session:
        left = first(3)
        session.run(NEW, at=moment("08:30"), show=lambda line: left(line) if line.startswith("  cell ") else True)
        session.run(f"cat {MODEL}/pipeline.py", show=after("@rw.step"))
        session.lines.append(f"$ cd {MODEL}")
        made = Session(session.root / MODEL, session.port)
        made.run("rw run", at=moment("09:00"), show=after("step "))
        made.run("rw gate late-flights@1", at=moment("09:10"))
        session.lines += made.lines
        return {"convert.md": CONVERT.format(session.take())}


def telling(line: str) -> bool:
    return bool(TELLING.match(line))


def first(count: int) -> Callable[[str], bool]:
    """The first lines."""
    left = [count]

    def show(_: str) -> bool:
        left[0] -= 1
        return left[0] >= 0

    return show


def after(start: str) -> Callable[[str], bool]:
    """From the line that begins so."""
    begun = [False]

    def show(line: str) -> bool:
        begun[0] = begun[0] or line.startswith(start)
        return begun[0]

    return show


def before(end: str) -> Callable[[str], bool]:
    """Up to the line that begins so."""
    ended = [False]

    def show(line: str) -> bool:
        ended[0] = ended[0] or line.startswith(end)
        return not ended[0]

    return show


GATE = """# A gate that fails, and why

In the [flights example](../tutorial.md), `late-flights@1` is in production. Somebody in a hurry trains a single tree of
three leaves. The gate measures it beside the champion on the same rows, says which rules do not hold, what was measured
and what would pass, and signs that too. `rw release` then refuses.

{}
Accuracy alone would have preferred the hurried model: it never says that a flight will be late, which is right three
times in four. Its recall is 0.
"""
RUN = """# A run that is killed

`rw run` is killed with signal 9 while the model is being trained. The run is shown as killed; what had been done is
kept, and the next run goes on from there.

{}"""
RELEASE = """# A release that is killed

`rw release` is killed with signal 9 after it has begun to start the new version's server. The version in production
answers as before. `rw release --continue` (or the loop) goes on with what was begun: the new version comes up, and gets
its first share.

{}"""
OPERATE = """# A loop that is killed, twice

`rw operate` replays nine months of traffic, and is killed with signal 9: first while it retrains, then while it serves.
Each time the same command carries on: no row is served twice, no retraining is done twice, and the log is whole. Lines
about single requests and windows are left out.

{}"""
CONVERT = """# A notebook becomes a gated pipeline

The notebook of the [flights example](../tutorial.md). One command makes a project of it, runs both, and compares; most
of what was left behind is not shown here. Then the project trains, and its model passes the gate, by rules from what
the notebook found: nothing was written by hand. The demo goes on from here.

{}"""
REPRODUCE = """# A run, reproduced

The run that made the champion of the [flights example](../tutorial.md), done again: its environment is rebuilt with uv
from the versions it recorded, its code and its data are restored from the store, and every step's output is compared
with what it was.

{}"""


def main() -> int:
    wanted = set(sys.argv[1:])
    for record, names in (
        (refusals_and_kills, {"gate-fails", "kill-run", "kill-release"}),
        (loop_and_reproduction, {"kill-operate", "reproduce"}),
        (conversion, {"convert"}),
    ):
        if wanted and not wanted & names:
            continue
        for name, text in record().items():
            (HERE / name).write_text(NOTE + text, "utf-8")
            sys.stderr.write(f"wrote {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
