"""Runtime: where sockets lie and how servers get theirs.

A path of a unix socket may have 107 bytes at most, so a project that lies deep keeps its sockets in a short folder of
the user's own, which nobody else may enter. Called by serving/app.py, serving/router.py, serving/control.py, releases.
"""

import contextlib
import hashlib
import os
import resource
import socket
import stat
import tempfile
from pathlib import Path

from roadworthy.nouns.errors import Fault, conflict, invalid, refused, unavailable

PATH_BYTES_MAX = 107
NAME_BYTES_MAX = 48
BACKLOG = 1024
LOOPBACK = "127.0.0.1"


def socket_folder(home: Path) -> Path:
    """The folder for the sockets of a store: `<home>/run`, or a short one when that is too long; made, mode 0700.

    Raises:
        Fault: refused, when the short folder is not the user's own: someone may have put it there.
    """
    folder = home.resolve() / "run"
    if len(os.fsencode(folder)) + 1 + NAME_BYTES_MAX > PATH_BYTES_MAX:
        mark = hashlib.blake2b(os.fsencode(home.resolve()), digest_size=6).hexdigest()
        folder = Path(tempfile.gettempdir()) / f"rw-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise refused("the folder for sockets belongs to someone else", where=str(folder), fix="remove it")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
    return folder


def control_socket(home: Path, target: str = "local") -> Path:
    """Where the router of a target is told and asked."""
    return socket_folder(home) / f"router-{target[:32]}.sock"


def bind_unix(path: Path) -> socket.socket:
    """A listening socket that only this user may connect to; a file left by a dead process is replaced.

    Raises:
        Fault: invalid when the path is too long; conflict when another process listens there.
    """
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise invalid(f"a socket's path may have {PATH_BYTES_MAX} bytes", where=str(path), fix="use a shorter folder")
    if path.exists() and _answers(path):
        raise conflict("another process listens on the socket", where=str(path), fix="stop it first")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Bound under a name of its own and renamed: the old socket works until the new one does.
    temporary = path.parent / f".{os.urandom(4).hex()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(temporary))
        temporary.chmod(0o600)
        listener.listen(BACKLOG)
        temporary.rename(path)
    except OSError as problem:
        listener.close()
        temporary.unlink(missing_ok=True)
        raise unavailable(f"the socket cannot be made: {problem.strerror}", where=str(path)) from None
    listener.setblocking(False)
    return listener


def bind_port(port: int) -> socket.socket:
    """A listening socket on the loopback address.

    Raises:
        Fault: conflict when the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as problem:
        listener.close()
        raise _port_taken(port, problem) from None
    listener.setblocking(False)
    return listener


def raise_file_limit() -> None:
    """As many open files as the system lets this process have: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))


def _answers(path: Path) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(1.0)
    try:
        probe.connect(str(path))
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _port_taken(port: int, problem: OSError) -> Fault:
    return conflict(
        f"the port cannot be listened on: {problem.strerror}",
        where=f"{LOOPBACK}:{port}",
        fix="stop what listens there, or choose another port in [release]",
    )
