"""`rw reproduce` as a user meets it."""

import json
from collections.abc import Callable
from pathlib import Path

TOML = '[project]\nname = "shop"\n'


def test_a_run_is_reproduced(rw: Callable, project_dir: Callable[..., Path]) -> None:
    text = "import random\nimport roadworthy as rw\n@rw.step\ndef a(): return random.random()\n"
    root = project_dir({"pipeline.py": text, "roadworthy.toml": TOML})
    assert rw("run", cwd=root).returncode == 0
    done = rw("reproduce", "latest", "--same-environment", cwd=root)
    assert done.returncode == 0, done.stderr
    assert "is reproduced in this environment: identical" in done.stdout
    # `latest` still means the run itself, not its repetition.
    again = json.loads(rw("reproduce", "latest", "--same-environment", "--json", cwd=root).stdout)
    assert f"run {again['run'][:12]} is reproduced" in done.stdout


def test_what_differs_ends_with_5_and_a_cause(rw: Callable, project_dir: Callable[..., Path]) -> None:
    text = "import uuid\nimport roadworthy as rw\n@rw.step\ndef a(): return str(uuid.uuid4())\n"
    root = project_dir({"pipeline.py": text, "roadworthy.toml": TOML})
    assert rw("run", cwd=root).returncode == 0
    done = rw("reproduce", "latest", "--same-environment", cwd=root)
    assert done.returncode == 5
    assert "first divergent step: a" in done.stdout
    assert "asks the system for random numbers" in done.stdout


def test_an_unknown_run_is_not_found(rw: Callable, project_dir: Callable[..., Path]) -> None:
    root = project_dir({"roadworthy.toml": TOML})
    assert rw("reproduce", "abc123", cwd=root).returncode == 3
