"""Run: one execution. Code, data, environment and parameters in; metrics, artifacts and timings out."""

from typing import Any, Literal

import msgspec

from roadworthy.nouns.step import StepRun

RunStatus = Literal["running", "scheduled", "finished", "failed", "killed"]


class CodeVersion(msgspec.Struct, frozen=True, kw_only=True):
    """Which code ran.

    Args:
        digest: BLAKE3 over the project's source files: the content, whatever git says.
        commit: git commit, None outside a repository.
        dirty: whether the work tree differed from the commit.
        diff: blob with that difference (`git diff` with untracked files), None when clean.
        archive: blob with the source files as a tar: enough to run again without git.
    """

    digest: str = ""
    commit: str | None = None
    dirty: bool = False
    diff: str | None = None
    archive: str | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What the code ran in.

    Args:
        python: version, such as `3.11.7`.
        platform: such as `Linux-x86_64-glibc2.36`.
        packages: name to version of every installed distribution.
        lock: digest of the sorted `name==version` lines; equal locks mean equal packages.
        cpus: how many cores it could use.
    """

    python: str = ""
    platform: str = ""
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    lock: str = ""
    cpus: int = 0


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run keeps: `path` as the user named it, `digest` of the blob, `size` in bytes."""

    path: str
    digest: str
    size: int


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one metric: `step` counts the user's iterations; `at` is in seconds since the epoch."""

    key: str
    value: float
    step: int = 0
    at: float = 0.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of a pipeline, or one bracket of tracked code (`group` gathers runs without a project).

    Args:
        id: 32 hex digits.
        snapshots: data set name to snapshot id.
        params: effective parameters, overrides applied.
        seed: what the steps' random generators were seeded with.
        steps: what was done about each step, in the order it was settled.
        command: how it was started.
        reproduces: the run this one repeats, for `rw reproduce`.
    """

    id: str
    project: str = ""
    group: str = ""
    name: str = ""
    status: RunStatus = "running"
    started_at: float = 0.0
    ended_at: float | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    snapshots: dict[str, str] = msgspec.field(default_factory=dict)
    seed: int = 0
    code: CodeVersion = CodeVersion()
    environment: Environment = Environment()
    steps: tuple[StepRun, ...] = ()
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    command: str = ""
    actor: str = ""
    error: str | None = None
    reproduces: str | None = None

    def step(self, name: str) -> StepRun | None:
        return next((s for s in self.steps if s.step == name), None)
