"""One kernel process: started, given code, watched, stopped. What a cell did comes back as a `Ran`.

In: code, and limits in seconds. Out: outputs as the notebook format has them, the error, wall and CPU time, and the
peak of memory of just that code. The kernel is Jupyter's own (any that is installed); the process is started before
Jupyter's client is imported, so that both take their time at once. Sockets are files in a folder of ours: no port is
opened. Called by `cells.py`.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from roadworthy.notebooks.execute import kernel_process
from roadworthy.notebooks.execute.outputs import Outputs
from roadworthy.notebooks.execute.ran import CellError, End, Ran
from roadworthy.nouns.errors import Fault, unavailable

START_S_MAX = 120.0
GRACE_S = 5.0  # what an interrupted cell gets to end by itself
TICK_MS = 200
SHUTDOWN_S = 10.0
LOG_SHOWN = 2_000
# Set in kernels whose run is a trial: nothing it does may reach beyond its folder.
TRIAL = "ROADWORTHY_TRIAL"
# In the order of the connection file.
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
# Asked by message to end, an ipykernel of today may wait forever for a thread that flushes to another, ended one; told
# so from inside, as `exit` in a cell does, it has no message under way.
_EXIT = "__import__('IPython').get_ipython().exit_now = True"
_SOCKET_PATH_MAX = 90  # sun_path has 107 bytes


class Kernel:
    """A running kernel; a context manager that ends it, and all that it started.

    Args:
        argv: command with `{connection_file}`; this Python's ipykernel unless given.
        cwd: the folder it works in.
        environment: variables beside those of this process.
    """

    def __init__(self, *, cwd: Path, argv: tuple[str, ...] = (), environment: Mapping[str, str] | None = None) -> None:
        self._folder = _socket_folder()
        self._key = secrets.token_hex(16)
        connection = self._folder / "kernel.json"
        ports = {name: number for number, name in enumerate(_PORTS, start=1)}
        described = {"transport": "ipc", "ip": str(self._folder / "s"), "key": self._key, **ports}
        described |= {"signature_scheme": "hmac-sha256", "kernel_name": ""}
        connection.touch(mode=0o600)
        connection.write_text(json.dumps(described))
        command = [part.replace("{connection_file}", str(connection)) for part in argv or own_argv()]
        variables = {**os.environ, "JPY_PARENT_PID": str(os.getpid()), **(environment or {})}
        variables.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        try:
            with (self._folder / "log").open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as problem:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise unavailable(f"the kernel cannot be started: {problem.strerror}", where=command[0]) from None
        self._connected = self._leaving = False
        self._is_ipython = False

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return self._process.pid

    def connect(self, limit_s: float = START_S_MAX) -> None:
        """Wait until the kernel answers.

        Raises:
            Fault: unavailable when it ends at once, or does not answer in time.
        """
        import zmq
        from jupyter_client.session import Session

        self._session = Session(key=self._key.encode(), username="rw", check_pid=False)
        self._context = zmq.Context()
        self._shell = self._open(zmq.DEALER, 1)
        self._iopub = self._open(zmq.SUB, 2)
        self._iopub.setsockopt(zmq.SUBSCRIBE, b"")
        self._control = self._open(zmq.DEALER, 4)
        self._poller = zmq.Poller()
        self._poller.register(self._shell, zmq.POLLIN)
        self._poller.register(self._iopub, zmq.POLLIN)
        self._connected = True
        until = time.monotonic() + limit_s
        asked: set[str] = set()
        answered = heard = False
        # Answered on both: whoever subscribes late hears nothing of what was said before.
        while not (answered and heard):
            if not answered or not self._poller.poll(TICK_MS):
                asked.add(self._send(self._shell, "kernel_info_request", {}))
            for socket, _ in self._poller.poll(TICK_MS):
                message = self._receive(socket)
                if message is not None and message["parent_header"].get("msg_id") in asked:
                    answered |= socket is self._shell
                    heard |= socket is self._iopub
                    self._is_ipython |= message["content"].get("implementation") == "ipython"
            if self._process.poll() is not None:
                raise self._not_started(f"the kernel ended at once ({self.ending()})")
            if time.monotonic() > until:
                raise self._not_started(f"the kernel did not answer within {limit_s:.0f} s")

    def execute(
        self,
        code: str,
        *,
        limit_s: float | None = None,
        silent: bool = False,
        cell: str = "",
        show: Callable[[dict[str, Any]], None] | None = None,
    ) -> Ran:
        """Execute code; it never raises for what the code does.

        Args:
            limit_s: after this time the code is interrupted, and killed if it goes on.
            silent: without a place in the kernel's history, and without its count.
            cell: the id of the cell, as Jupyter's front ends send it.
            show: told of each output as it comes.
        """
        if not self._connected:
            self.connect()
        outputs = Outputs(show)
        kernel_process.reset_peak(self.pid)
        cpu_before, begun = kernel_process.cpu_s(self.pid), time.perf_counter()
        content = {"code": code, "silent": silent, "store_history": not silent, "user_expressions": {}}
        content |= {"allow_stdin": False, "stop_on_error": False}
        asked = self._send(self._shell, "execute_request", content, {"cellId": cell} if cell else {})
        reply, end = self._wait(asked, outputs, limit_s)
        used = kernel_process.cpu_s(self.pid) - cpu_before
        error = outputs.error() or _error_of(reply)
        if end == "ok" and reply.get("status") != "ok":
            end = "error"
            error = error or CellError(name=str(reply.get("status", "aborted")), value="", traceback="")
        return Ran(
            end=end,
            outputs=outputs.made(),
            count=reply.get("execution_count"),
            error=error if end == "error" else self._ended(end, limit_s, error),
            wall_s=time.perf_counter() - begun,
            cpu_s=max(0.0, used),
            memory_peak_mb=kernel_process.peak_mb(self.pid),
        )

    def interrupt(self) -> None:
        """As Ctrl-C does to a program."""
        try:
            os.killpg(self.pid, signal.SIGINT)
        except ProcessLookupError:
            return

    def close(self) -> None:
        """End the kernel, its exit hooks run if it lets them, and whatever it left running."""
        try:
            self.leave()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(SHUTDOWN_S if self._connected else 0)
        finally:
            self._kill()
            if self._connected:
                self._connected = False
                self._context.destroy(linger=0)
            shutil.rmtree(self._folder, ignore_errors=True)

    def leave(self) -> None:
        """Ask the kernel to end, and do not wait: `close` does."""
        if self._connected and not self._leaving and self._process.poll() is None:
            self._leaving = True
            if not self._is_ipython or self.execute(_EXIT, silent=True, limit_s=GRACE_S).end != "ok":
                self._send(self._control, "shutdown_request", {"restart": False})

    def ending(self) -> str:
        """How the process ended, in words."""
        code = self._process.poll()
        if code is None:
            return "running"
        if code >= 0:
            return f"exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, kind: int, number: int) -> Any:
        socket = self._context.socket(kind)
        socket.linger = 0
        socket.connect(f"ipc://{self._folder / 's'}-{number}")
        return socket

    def _send(self, socket: Any, kind: str, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> str:
        """Send a message; its id."""
        message = self._session.send(socket, kind, content, metadata=metadata)
        assert message is not None
        return str(message["header"]["msg_id"])

    def _receive(self, socket: Any) -> dict[str, Any] | None:
        try:
            _, message = self._session.recv(socket, mode=1)
        except ValueError:
            return None  # not signed by our kernel
        found: dict[str, Any] | None = message
        return found

    def _wait(self, asked: str, outputs: Outputs, limit_s: float | None) -> tuple[dict[str, Any], End]:
        """Take messages until the reply and the end of outputs are there, the time is over, or the kernel is gone."""
        reply: dict[str, Any] | None = None
        idle = False
        end: End = "ok"
        until = None if limit_s is None else time.monotonic() + limit_s
        while reply is None or not idle:
            waited = TICK_MS if until is None else max(1, min(TICK_MS, int((until - time.monotonic()) * 1000) + 1))
            ready = self._poller.poll(waited)
            for socket, _ in ready:
                while (message := self._receive(socket)) is not None:
                    if message["parent_header"].get("msg_id") != asked:
                        continue
                    if socket is self._shell:
                        reply = message["content"]
                    elif message["header"]["msg_type"] == "status":
                        idle |= message["content"].get("execution_state") == "idle"
                    else:
                        outputs.take(message["header"]["msg_type"], message["content"])
            if not ready and self._process.poll() is not None:
                return {}, "timeout" if end == "timeout" else "died"
            if until is not None and time.monotonic() > until:
                if end == "timeout":
                    self._kill()
                    return reply or {}, "timeout"
                end, until = "timeout", time.monotonic() + GRACE_S
                self.interrupt()
        return reply, end

    def _ended(self, end: End, limit_s: float | None, raised: CellError | None) -> CellError | None:
        if end == "timeout":
            # What the interrupt raised says where the code was.
            where = raised.traceback if raised else ""
            return CellError(name="Timeout", value=f"it took longer than {limit_s or 0:.3g} s", traceback=where)
        if end == "died":
            said = self._log()
            return CellError(name="KernelDied", value=f"the kernel died ({self.ending()})", traceback=said)
        return None

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _log(self) -> str:
        try:
            return (self._folder / "log").read_text("utf-8", "replace")[-LOG_SHOWN:].strip()
        except OSError:
            return ""

    def _not_started(self, what: str) -> Fault:
        said = self._log().rpartition("\n")[2]
        return unavailable(what, where="kernel", fix=said or "rw notebook run --kernel NAME chooses another")


def own_argv() -> tuple[str, ...]:
    """How the kernel of this Python is started; without a history file, which others could read."""
    return (
        sys.executable,
        "-m",
        "ipykernel_launcher",
        "-f",
        "{connection_file}",
        "--HistoryManager.enabled=False",
    )


def _error_of(reply: dict[str, Any]) -> CellError | None:
    if reply.get("status") != "error":
        return None
    return CellError(
        name=str(reply.get("ename", "")),
        value=str(reply.get("evalue", "")),
        traceback="\n".join(reply.get("traceback", ())),
    )


def _socket_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rw-kernel-"))
    if len(str(folder)) > _SOCKET_PATH_MAX:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="rw-kernel-", dir="/tmp"))
    return folder
