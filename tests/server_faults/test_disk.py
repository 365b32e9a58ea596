"""A disk that is full or read-only: writes are refused as MLflow refuses, reads go on, and when it is mended so is all."""

import contextlib
import os
import shutil
import string
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.server.wire import request
from tests.server_faults.load import Load, check
from tests.server_faults.served import Served, is_mlflow_error

pytestmark = pytest.mark.slow
FILE_BYTES_MAX = 3 << 20
ROOMY = 1 << 30
DISK_BYTES = 24 << 20
PIECE = 1 << 20
CLIENTS = 8  # each waits for its answer, so a sync has a request of each at most


def test_files_that_may_not_grow_are_a_full_disk_that_is_refused_and_recovered_from(
    tmp_path: Path, count: Callable[[str], None]
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder) as served, Load([served]) as load:
        served.grow_files_up_to(FILE_BYTES_MAX)
        load.wait_for(20, refused=True)
        # A small write may still fit into what the files have: only what must grow is refused.
        refused_as_mlflow_does(served, load, small=False)
        served.grow_files_up_to(ROOMY)
        load.wait_for(300)
        load.stop()
        found = check(served, load)
        assert found.lost == []
        assert load.odd == []
        assert served.stop() == 0
    count(f"files at their limit: {said(load)}; then {found.requests:,} acknowledged, 0 lost, not restarted")


def test_a_full_disk_is_refused_and_recovered_from(tmp_path: Path, count: Callable[[str], None]) -> None:
    folder = tmp_path / "server"
    with mounted(folder, DISK_BYTES), Served(folder) as served:
        ballast = folder / "ballast"
        with Load([served]) as load:
            load.wait_for(200)
            fill(ballast)
            load.wait_for(20, refused=True)
            refused_as_mlflow_does(served, load)
            ballast.unlink()
            load.wait_for(300)
        found = check(served, load)
        assert found.lost == []
        assert load.odd == []
        assert served.stop() == 0
    count(f"full disk: {said(load)}; then {found.requests:,} acknowledged, 0 lost, not restarted")


def test_an_artifact_that_does_not_fit_is_refused_whole_and_fits_later(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    with mounted(folder, DISK_BYTES), Served(folder) as served:
        run = served.call("runs/create", experiment_id="0")[1]["run"]["info"]["run_id"]
        path = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/large.bin"
        content = os.urandom(10 * PIECE)
        ballast = folder / "ballast"
        fill(ballast)
        with served.connected() as connection:
            status, body = connection.ask_anything(request("PUT", path, content))
        assert status >= 500, body[:200]
        assert b"error_code" in body
        ballast.unlink()
        with served.connected() as connection:
            assert connection.ask_anything(request("GET", path))[0] == 404
        with served.connected() as connection:
            connection.ask(request("PUT", path, content))
            assert connection.ask(request("GET", path)) == content
        # Nothing of the first try stays: the disk would not hold it twice.
        ballast.write_bytes(bytes(10 * PIECE))


def test_files_that_turn_read_only_are_refused_and_recovered_from(tmp_path: Path, count: Callable[[str], None]) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Served(folder) as served, Load([served]) as load:
        load.wait_for(200)
        files = sorted((folder / ".roadworthy").glob("store.db*"))
        # The index of the log is memory that SQLite maps; a file system that fails under it fails nobody's writes.
        files = [str(file) for file in files if not file.name.endswith("-shm")]
        with immutable(files):
            load.wait_for(20, refused=True)
            refused_as_mlflow_does(served, load)
        load.wait_for(300)
        load.stop()
        found = check(served, load)
        assert found.lost == []
        assert load.odd == []
        assert served.stop() == 0
    count(f"read-only files: {said(load)}; then {found.requests:,} acknowledged, 0 lost, not restarted")


def test_a_file_system_that_turns_read_only_stays_readable_and_keeps_what_was_acknowledged(
    tmp_path: Path, count: Callable[[str], None]
) -> None:
    folder = tmp_path / "server"
    with failing_ext4(folder, tmp_path / "image") as fail_and_mount_again, Served(folder) as served:
        with Load([served]) as load:
            load.wait_for(200)
            with fail_and_mount_again(served):
                load.wait_for(20, refused=True)
                refused_as_mlflow_does(served, load)
                load.stop()
        found = check(served, load)
        # Of what was under way as the disk failed, some was refused and is there all the same; and the kernel may have
        # said of the one sync under way that it was done (docs/explanation/durability.md). What is older is there.
        lost = {request_of(line) for line in found.lost if not line.endswith("nobody logged")}
        assert len(lost) <= CLIENTS, lost
        assert load.odd == []
    count(f"ext4 that turned read-only: {said(load)}; mounted again, {found.requests:,} acknowledged, 0 lost")


def test_a_server_on_a_read_only_disk_says_so_and_does_not_start(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    with mounted(folder, DISK_BYTES):
        run("mount", "-o", "remount,ro", str(folder))
        served = Served(folder)
        with pytest.raises(AssertionError, match="the server ended"):
            served.start()
        assert "Traceback" not in served.log.read_text()
        assert str(folder) in served.log.read_text() or ".roadworthy" in served.log.read_text()


def refused_as_mlflow_does(served: Served, load: Load, *, small: bool = True) -> None:
    """While it cannot write: it lives, says so in MLflow's words, and reads."""
    assert served.lives()
    assert served.answers("/health")
    assert set(load.refused) <= {"503 TEMPORARILY_UNAVAILABLE", "500 INTERNAL_ERROR"}, load.refused
    status, answer = served.call("runs/create", experiment_id="0")
    if small or status != 200:
        assert is_mlflow_error(status, answer)
        assert status == 503, "its clients try again after a 503"
    with served.connected() as connection:
        some = next(written.id for written in load.runs)
        assert connection.get(f"runs/get?run_id={some}")["run"]["info"]["run_id"] == some


def request_of(line: str) -> tuple[str, str]:
    """The run and the step of what was lost: a batch's metrics and its parameter are of one request."""
    run, what = line.split(": ")
    return run, what.lstrip(string.ascii_lowercase + " ")


def said(load: Load) -> str:
    return ", ".join(f"{count} x {answer}" for answer, count in sorted(load.refused.items()))


def fill(ballast: Path) -> None:
    """Take all room that is left."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        size = PIECE
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
                if size < 512:
                    break


@contextlib.contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    """A small disk of its own."""
    folder.mkdir()
    needs_root()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield
    finally:
        run("umount", "-l", str(folder))


@contextlib.contextmanager
def immutable(files: list[str]) -> Iterator[None]:
    needs_root()
    if not shutil.which("chattr") or subprocess.run(["chattr", "+i", *files], check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        yield
    finally:
        run("chattr", "-i", *files)


@contextlib.contextmanager
def failing_ext4(folder: Path, image: Path) -> Iterator[Callable[[Served], contextlib.AbstractContextManager[None]]]:
    """A file system that turns read-only when told to, as ext4 does on an error of its disk."""
    folder.mkdir()
    needs_root()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.ext4", "-q", "-F", str(image))
    mount = ("mount", "-o", "loop,errors=remount-ro", str(image), str(folder))
    run(*mount)

    @contextlib.contextmanager
    def fail(served: Served) -> Iterator[None]:
        device = run("losetup", "--noheadings", "--output", "NAME", "--associated", str(image)).split("/")[-1].strip()
        trigger = Path(f"/sys/fs/ext4/{device}/trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this kernel's ext4 cannot be made to fail")
        trigger.write_text("fails now")
        yield
        served.kill()
        run("umount", str(folder))
        run(*mount)
        served.start()

    try:
        yield fail
    finally:
        run("umount", "-l", str(folder))


def needs_root() -> None:
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a disk or make files immutable")


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
