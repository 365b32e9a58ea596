"""The example's folder on the path, and the project that `rw new` makes of the notebook, made once for all tests."""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's folder: the notebook converted and proven, with the settings of production put in."""
    here = tmp_path_factory.mktemp("flights")
    for name in ("train.ipynb", "source.py", "features.py", "production.toml", "merge_toml.py"):
        shutil.copy(HERE / name, here)
    rw = Path(sys.executable).with_name("rw")
    new = [rw, "new", "late-flights", "--from-notebook", "train.ipynb", "--json"]
    done = subprocess.run(new, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    folder = here / "late-flights"
    (folder / "said.json").write_text(json.dumps(json.loads(done.stdout)), "utf-8")
    shutil.copy(folder / "roadworthy.toml", folder / "as-made.toml")
    subprocess.run(
        [sys.executable, "merge_toml.py", "production.toml", "late-flights/roadworthy.toml"], cwd=here, check=True
    )
    return folder


@pytest.fixture(scope="session")
def pipeline(made: Path) -> Iterator[ModuleType]:
    """The module that was made."""
    sys.path.append(str(made))
    try:
        yield importlib.import_module("pipeline")
    finally:
        sys.path.remove(str(made))
