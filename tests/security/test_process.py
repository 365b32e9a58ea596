"""What the server's process does and does not: no unpickling, no shell, no secret that everybody knows."""

import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.faces.server.identity import tokens, users
from roadworthy.store.store import Store

# Runs a conversation with a server in the process, and says which forbidden things were done.
_WATCHED = """
import sys
from pathlib import Path

seen = []
FORBIDDEN = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "exec", "compile",
             "socket.connect", "ctypes.dlopen")
watching = False
sys.addaudithook(lambda event, args: seen.append((event, str(args)[:200])) if watching and event in FORBIDDEN else None)

import pickle
from tests.security.world import MARK, PROXY, World

world = World(Path(sys.argv[1]) / ".roadworthy")
routes = [route for route in world.talk.application.table.routes if "/test" not in route.path]
for route in routes:  # once, for what is loaded when it is used first
    for url, sent in world.tries(route):
        world.ask("admin", route.method, url, **sent)
watching = True
hostile = pickle.dumps(eval)  # names builtins.eval
root = f"{world.secret.experiment}/{world.secret.run}/artifacts"
for name in ("model.pkl", "MLmodel", "conda.yaml", "x.tar.gz"):
    assert world.ask("admin", "PUT", f"{PROXY}/{root}/m/{name}", body=hostile).status in (200, 404)
for route in routes:
    for url, sent in world.tries(route):
        world.ask("admin", route.method, url, **sent)
watching = False
world.close()
print(sorted({event for event, _ in seen}), seen[:3])
print(sorted(set(sys.modules) & {"numpy", "pandas", "pyarrow", "duckdb", "sklearn", "scipy", "joblib", "skops", "cloudpickle",
                                 "yaml", "mlflow"}))
"""


@pytest.mark.slow
def test_a_conversation_unpickles_runs_and_connects_to_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    did, loaded = done.stdout.splitlines()
    assert did.startswith("[] "), did
    assert loaded == "[]"


def test_nobody_can_come_in_with_a_secret_that_everybody_knows(store: Store) -> None:
    assert users.listing(store) == []
    assert tokens.listing(store) == []


def test_the_sources_hold_no_password() -> None:
    import re

    assigned = re.compile(r"(?i)(password|secret|token|api_?key)\s*=\s*[\"'][^\"'{}<>\s]{6,}[\"']")
    found = [
        f"{path.name}: {match[0]}"
        for path in (Path(__file__).parents[2] / "src").rglob("*.py")
        for match in assigned.finditer(path.read_text("utf-8"))
    ]
    assert found == []
