"""Model servers on this machine: started from a bundle, found again, stopped. Called by target.py and router.py."""

import shutil
from pathlib import Path
from typing import Literal

from roadworthy.nouns.errors import unavailable
from roadworthy.releases.targets.local import processes
from roadworthy.releases.targets.local.processes import Process
from roadworthy.releases.targets.protocol import Ground, Server, Unit
from roadworthy.serving import bundle, runtime
from roadworthy.store.clock import SystemClock

START_PATIENCE_S = 120.0
STUCK_PATIENCE_S = 30.0
# The router's process is noted beside the servers'.
ROUTER = "router"
PART = 16
_clock = SystemClock()


def start(ground: Ground, unit: Unit) -> None:
    """Bring a release's processes up and wait until they answer; those that do are left alone.

    Raises:
        Fault: unavailable, with the end of its log, when one does not.
    """
    sockets = _sockets(ground, unit.release, ground.settings.workers)
    names = [_name(unit.release, i) for i in range(len(sockets))]
    if all(_up(ground, name, path) for name, path in zip(names, sockets, strict=True)):
        return
    folder = _bundle(ground, unit)
    running = [_running(ground, name, path) or _spawn(ground, name, path, folder, unit)
               for name, path in zip(names, sockets, strict=True)]  # fmt: skip
    for process, path in zip(running, sockets, strict=True):
        problem = processes.wait_until_up(process, path, patience_s=START_PATIENCE_S)
        if problem:
            stop(ground, unit.release)
            raise unavailable(f"its server does not come up: {problem}", where=unit.model.id, fix=f"see {process.log}")


def names(ground: Ground) -> list[str]:
    """The releases that a process was noted for, running or not."""
    return sorted({name.partition(".")[0] for name in processes.names(_notes(ground)) if name != ROUTER})


def listing(ground: Ground) -> list[Server]:
    """Every server that runs or should, as found."""
    return [_look(ground, release) for release in names(ground)]


def sockets(ground: Ground, release: str) -> list[Path]:
    """The sockets of a release's processes, as many as were started; where its first would be when none was."""
    return [path for _, path in _noted(ground, release)] or _sockets(ground, release, 1)


def model_of(ground: Ground, release: str) -> str:
    """Which model (`name@version`) a release's processes were started for; empty when there are none."""
    note = processes.noted_as(_notes(ground), _name(release, 0))
    return note.about if note else ""


def stop(ground: Ground, release: str) -> None:
    """Stop a release's processes and forget them, and their bundle unless another needs it."""
    for name, path in _noted(ground, release):
        note = processes.noted_as(_notes(ground), name)
        process = processes.find(_notes(ground), name, str(path))
        if process is not None:
            processes.stop(process)
        path.unlink(missing_ok=True)
        processes.forget(_notes(ground), name)
        folder = Path(note.option("--bundle")) if note is not None and note.option("--bundle") else None
        if folder is not None and folder.parent == ground.folder and not _in_use(ground, folder):
            shutil.rmtree(folder, ignore_errors=True)


def _look(ground: Ground, release: str) -> Server:
    noted = _noted(ground, release)
    found = [processes.find(_notes(ground), name, str(path)) for name, path in noted]
    state: Literal["up", "silent", "down"] = "down"
    if found and all(found):
        state = "up" if all(processes.answers(path) for _, path in noted) else "silent"
    first = next((p for p in found if p is not None), None)
    return Server(
        release=release, model=model_of(ground, release), state=state,
        address=str(noted[0][1]) if noted else "", pid=first.pid if first else None,
        since=first.started if first else None,
    )  # fmt: skip


def _running(ground: Ground, name: str, path: Path) -> Process | None:
    """The process of this name that already runs and answers, or comes to; one that is stuck is stopped."""
    process = processes.find(_notes(ground), name, str(path))
    if process is None:
        return None
    # A command that was killed since may have started it a moment ago; one that had its time is stuck.
    age_s = max(0.0, _clock.now() - process.started)
    if processes.wait_until_up(process, path, patience_s=max(STUCK_PATIENCE_S, START_PATIENCE_S - age_s)):
        processes.stop(process)
        return None
    return process


def _spawn(ground: Ground, name: str, path: Path, folder: Path, unit: Unit) -> Process:
    log = ground.folder / "logs" / f"{unit.model.name}-{unit.model.version}-{name[:8]}.log"
    # It trusts the project's key, not the one that lies in the bundle.
    command = ["roadworthy.serving.app", "--bundle", str(folder), "--uds", str(path),
               "--log", str(ground.home / "inference"), "--public", ground.public.hex()]  # fmt: skip
    # A model with classes of the project's own (named as trusted by its author) needs their code to be found.
    path_of_code = str(ground.root) if unit.model.value.meta.get("trusted") else ""
    return processes.start(_notes(ground), name, command, log=log, about=unit.model.id, path=path_of_code)


def _bundle(ground: Ground, unit: Unit) -> Path:
    folder = ground.folder / f"{unit.model.name}-{unit.model.version}"
    settings = bundle.Settings(
        serving=ground.serving, sensitive=ground.sensitive, release=unit.release, target=ground.name,
        salt=ground.salt() if ground.sensitive else "",
    )  # fmt: skip
    bundle.write(folder, ground.blobs, unit.model, unit.envelope, ground.public, settings=settings)
    return folder


def _in_use(ground: Ground, folder: Path) -> bool:
    noted = [processes.noted_as(_notes(ground), name) for name in processes.names(_notes(ground))]
    return any(note is not None and note.option("--bundle") == str(folder) for note in noted)


def _up(ground: Ground, name: str, path: Path) -> bool:
    return processes.find(_notes(ground), name, str(path)) is not None and processes.answers(path)


def _noted(ground: Ground, release: str) -> list[tuple[str, Path]]:
    count = sum(name.partition(".")[0] == release for name in processes.names(_notes(ground)))
    return [(_name(release, i), path) for i, path in enumerate(_sockets(ground, release, count))]


def _sockets(ground: Ground, release: str, count: int) -> list[Path]:
    folder = runtime.socket_folder(ground.home)
    return [folder / f"{ground.name[:PART]}-{release[:PART]}-{i}.sock" for i in range(count)]


def _name(release: str, i: int) -> str:
    return f"{release}.{i}"


def _notes(ground: Ground) -> Path:
    return ground.folder / "run"
