"""Processes that outlive the command that started them: started, found again, asked, stopped.

Each has a name in a folder, where a file says which process it is. A process is known by its id and the moment it was
started, as ids are used again; and by its command line, which names a socket or file that no other has, so that one
whose starter was killed before it could write the file is found too.
"""

import os
import signal
import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from roadworthy.nouns.errors import unavailable
from roadworthy.serving.control import UnixConnection
from roadworthy.store.clock import SystemClock

# Servers carry no credentials of the control plane.
KEPT_FROM_SERVERS = ("ROADWORTHY_SIGNING_KEY", "ROADWORTHY_STORE", "PGPASSWORD")
POLL_S = 0.05
STOP_PATIENCE_S = 15.0
LOG_TAIL_BYTES = 4_000
_clock = SystemClock()


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process as noted.

    Args:
        pid: 0 in a note made just before it was started.
        started: its creation time by the system, seconds since the epoch.
        command: its command line.
        log: the file that takes its output.
        about: what it serves.
    """

    pid: int
    started: float
    command: tuple[str, ...] = ()
    log: str = ""
    about: str = ""

    def option(self, name: str) -> str:
        """The word after `name` on its command line; empty without one."""
        words = self.command
        return words[words.index(name) + 1] if name in words[:-1] else ""


def start(folder: Path, name: str, arguments: Sequence[str], *, log: Path, about: str = "", path: str = "") -> Process:
    """Start `python -m …` detached from this process, its output going to a file, and note it.

    Args:
        folder: where `<name>.json` is written.
        arguments: module and arguments, as after `python -m`.
        log: appended to.
        about: what it serves, kept in the note.
        path: a folder whose modules it may import beside installed ones.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # -P: modules that happen to lie in the current folder are not the server's.
    command = (sys.executable, "-P", "-m", *arguments)
    # Noted before it is started: whoever is killed between the two leaves a note that leads to it.
    note = Process(pid=0, started=0.0, command=command, log=str(log), about=about)
    _note(folder / f"{name}.json", note)
    environment = {k: v for k, v in os.environ.items() if k not in KEPT_FROM_SERVERS} | {"PYTHONUNBUFFERED": "1"}
    if path:
        environment["PYTHONPATH"] = path
    try:
        pid = os.posix_spawn(
            sys.executable,
            command,
            environment,
            setsid=True,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
    except OSError as problem:
        raise unavailable(f"a server process cannot be started: {problem.strerror}", where=name) from None
    process = msgspec.structs.replace(note, pid=pid, started=_started(pid) or 0.0)
    _note(folder / f"{name}.json", process)
    return process


def find(folder: Path, name: str, mark: str) -> Process | None:
    """The running process of this name, if there is one: by its note, or by the `mark` on its command line."""
    noted = noted_as(folder, name)
    if noted is not None and alive(noted):
        return noted
    found = next(iter(marked(mark)), None)
    if found is not None:
        found = msgspec.structs.replace(found, log=noted.log, about=noted.about) if noted else found
        _note(folder / f"{name}.json", found)
    return found


def noted_as(folder: Path, name: str) -> Process | None:
    """What was noted under a name, running or not."""
    try:
        return msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=Process)
    except (OSError, msgspec.MsgspecError):
        return None


def names(folder: Path) -> list[str]:
    """The names that processes were noted under."""
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def forget(folder: Path, name: str) -> None:
    (folder / f"{name}.json").unlink(missing_ok=True)


def marked(mark: str) -> list[Process]:
    """The user's processes that have `mark` as one word of their command line."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            words = process.cmdline()
            if mark in words and "roadworthy.serving" in " ".join(words[:4]):
                found.append(Process(pid=process.pid, started=process.create_time(), command=tuple(words)))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def listener(port: int) -> str:
    """Who listens on a port, for a message: ` by process 12 (python …)`, or nothing when that cannot be seen."""
    import psutil

    try:
        found = [
            c.pid for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == port
        ]
        pid = next((pid for pid in found if pid), None)
        return f" by process {pid} ({' '.join(psutil.Process(pid).cmdline())[:120]})" if pid else ""
    except (psutil.Error, OSError):
        return ""


def alive(process: Process) -> bool:
    """Whether this very process still runs (not another that got its id)."""
    started = _started(process.pid) if process.pid else None
    return started is not None and (not process.started or abs(started - process.started) < 1.0)


def stop(process: Process, *, patience_s: float = STOP_PATIENCE_S) -> None:
    """Ask a process to end, wait, and end it if it does not; nothing when it is gone."""
    for sign, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, STOP_PATIENCE_S)):
        if not alive(process):
            return
        try:
            os.kill(process.pid, sign)
        except ProcessLookupError:
            return
        except PermissionError:
            raise unavailable("a server process belongs to another user", where=f"process {process.pid}") from None
        until = _clock.now() + wait_s
        while alive(process) and _clock.now() < until:
            _clock.sleep(POLL_S)


def wait_until_up(process: Process, address: Path | int, *, patience_s: float) -> str:
    """Wait until a server answers `GET /ping`; empty, or why it did not.

    Args:
        address: a socket's path, or a port of the loopback address.
    """
    until = _clock.now() + patience_s
    while _clock.now() < until:
        if answers(address):
            return ""
        if not alive(process):
            return f"it ended at once; its log says: {tail(process)}"
        _clock.sleep(POLL_S)
    return f"it did not answer within {patience_s:.0f} s; its log says: {tail(process)}"


def answers(address: Path | int, *, timeout_s: float = 5.0) -> bool:
    """Whether `GET /ping` is answered with 200."""
    try:
        return ask(address, "/ping", timeout_s=timeout_s)[0] == 200
    except (OSError, HTTPException):
        return False


def ask(address: Path | int, path: str, *, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """One GET on the loopback address: status and body.

    Raises:
        OSError, HTTPException: when nobody answers, or not in HTTP.
    """
    if isinstance(address, Path):
        connection: HTTPConnection = UnixConnection(address, timeout_s=timeout_s)
    else:
        connection = HTTPConnection("127.0.0.1", address, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def tail(process: Process) -> str:
    """The last lines that a process logged."""
    try:
        with Path(process.log).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace").strip()
    except OSError:
        return "(nothing)"
    return "\n".join(text.splitlines()[-12:]) or "(nothing)"


def _started(pid: int) -> float | None:
    """When a process was created by the system's account; None when it is gone (or dead and not yet collected)."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            _collect(pid)
            return None
        created: float = process.create_time()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return created


def _collect(pid: int) -> None:
    """Take note of the end of a process that was our own child."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _note(path: Path, process: Process) -> None:
    # The folder may be gone while its process lives on: users do remove `.roadworthy`.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(msgspec.json.encode(process))
    temporary.replace(path)
