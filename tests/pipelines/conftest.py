"""Projects to run, and what of a run the tests look at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roadworthy.data.formats import registry as formats
from roadworthy.nouns.project import Place
from roadworthy.nouns.run import Run
from roadworthy.pipelines import runner
from roadworthy.pipelines.planner import Planner, RunOptions
from roadworthy.store import project_file
from roadworthy.store.store import Store

TOML = '[project]\nname = "shop"\n'


class Bench:
    """A project under test."""

    def __init__(self, store: Store, root: Path) -> None:
        self.store = store
        self.root = root

    @property
    def place(self) -> Place:
        return project_file.read(self.root / "roadworthy.toml")

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def run(self, **options: Any) -> Run:
        self.lines: list[str] = []
        return runner.run(
            self.store, self.place, options=RunOptions(**options), progress=self.lines.append
        )  # fmt: skip

    def statuses(self, run: Run) -> dict[str, str]:
        return {step.step: step.status for step in run.steps}

    def value(self, run: Run, step: str) -> Any:
        done = run.step(step)
        assert done is not None
        assert done.output is not None, done.error
        return formats.load(self.store.blobs, done.output, keys=self.store.keys)

    def why(self, **options: Any) -> dict[str, str]:
        found = runner.explain(self.store, self.place, options=RunOptions(**options))
        return {name: f"{d.action}: {d.why}" for name, d in found.steps.items()}

    def planner(self, **options: Any) -> Planner:
        return Planner(self.store, self.place, RunOptions(**options))


@pytest.fixture
def bench(store: Store, project_dir: Callable[..., Path]) -> Callable[[dict[str, str]], Bench]:
    """Write a project and give it to run; `roadworthy.toml` is made if not given."""

    def make(files: dict[str, str]) -> Bench:
        return Bench(store, project_dir({"roadworthy.toml": TOML, **files}))

    return make
