"""MLflow's own pages, from an installed MLflow, for who is used to them: `rw server --mlflow-ui PYTHON_OR_FOLDER`.

In: the folder of its pages. Out: its files. They are listed when the server starts and only what was listed is sent, so
that no path of a request is ever one of the disk's. The pages may load and ask this server alone.
"""

import mimetypes
import subprocess
from functools import lru_cache
from pathlib import Path

from roadworthy.faces.server.errors import no_route
from roadworthy.faces.server.http import FileBody, Reply, Request, Route
from roadworthy.faces.server.server import Server
from roadworthy.nouns.errors import invalid

BUILD = Path("server", "js", "build")
INDEX = "index.html"
ASK_S_MAX = 60.0
FILES_MAX = 10_000
_WHERE = "import importlib.util as u; s = u.find_spec('mlflow'); print(s.submodule_search_locations[0] if s else '')"
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; worker-src 'self' blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_HEADERS = ((b"content-security-policy", _POLICY.encode()), (b"x-frame-options", b"SAMEORIGIN"))
# Their names change with their content.
_FOREVER = (b"cache-control", b"private, max-age=2419200, immutable")


def folder(named: str) -> Path:
    """The folder of the pages of an installed MLflow.

    Args:
        named: a Python that has MLflow, or the folder of its package, of its site-packages, or of the pages.

    Raises:
        Fault: invalid when there are none.
    """
    path = Path(named).expanduser()
    roots = [path, path / BUILD, path / "mlflow" / BUILD] if path.is_dir() else [Path(_package(named)) / BUILD]
    for root in roots:
        if (root / INDEX).is_file():
            return root.resolve()
    raise invalid("MLflow's pages are not there", where=named, fix="name a Python in which `mlflow` is installed")


async def index(server: Server, request: Request) -> Reply:
    return _send(server, request, INDEX, _HEADERS)


async def static(server: Server, request: Request) -> Reply:
    return _send(server, request, request.args["path"], (*_HEADERS, _FOREVER))


def _send(server: Server, request: Request, name: str, headers: tuple[tuple[bytes, bytes], ...]) -> Reply:
    found = _files(server.settings.mlflow_ui).get(name) if server.settings.mlflow_ui else None
    if found is None:
        return no_route(request, ())
    path, size, kind = found
    return Reply(200, FileBody(path, 0, size), kind, headers)


@lru_cache(maxsize=8)
def _files(root: str) -> dict[str, tuple[Path, int, str]]:
    """Every file below a folder by its relative path; links that lead out are none."""
    inside = Path(root).resolve()
    found = {}
    for path in sorted(inside.rglob("*")):
        real = path.resolve()
        if real.is_file() and real.is_relative_to(inside):
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            text = kind.startswith("text/") or kind in ("application/javascript", "application/json")
            name = path.relative_to(inside).as_posix()
            found[name] = (real, real.stat().st_size, f"{kind}; charset=utf-8" if text else kind)
            if len(found) >= FILES_MAX:
                break
    return found


def _package(python: str) -> str:
    """The folder of the package `mlflow` that a Python finds; nothing of it is imported."""
    try:
        said = subprocess.run(
            [python, "-I", "-c", _WHERE], capture_output=True, text=True, timeout=ASK_S_MAX, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        said = ""
    if not said:
        raise invalid("no Python that has MLflow", where=python, fix="name one in which `mlflow` is installed")
    return said


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", index, "viewer"),
    Route("GET", "/static-files/{path:path}", static, "viewer"),
)
