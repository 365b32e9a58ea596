"""Plays a program of scenes with MLflow's own client against a server of ours."""

import ast
import json
import os
from pathlib import Path

from tests import mlflow_client

PROGRAMS = Path(__file__).parent / "programs"
_PLAY = "import sys; sys.path.insert(0, sys.argv[1]); import scenes; scenes.play(sys.argv[2])"


def scenes(program: str) -> list[str]:
    """The scenes that stand in a program."""
    tree = ast.parse((PROGRAMS / f"{program}.py").read_text("utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def failures(program: str, port: int, folder: Path, **variables: str) -> dict[str, str]:
    """What failed, by scene; every scene has been played.

    Args:
        port: of the server, on this machine.
        folder: where the client works.
        variables: more of its environment.
    """
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join([str(mlflow_client.PYTHON.parent), os.environ["PATH"]])
    said = mlflow_client.run(
        _PLAY, str(PROGRAMS), program, uri=f"http://127.0.0.1:{port}", folder=folder, PATH=path, **variables
    )
    became: dict[str, str] = json.loads(said.splitlines()[-1])
    assert list(became) == scenes(program)
    return {name: problem for name, problem in became.items() if problem}
