"""What a run ran in: the packages installed, the code as git and as content has it, and all of it to run again.

In: the project's sources and its folder. Out: `CodeVersion` and `Environment` for the run's record. Called by the
runner when a run is recorded, and by `reproduce.py`.
"""

from roadworthy.nouns.run import CodeVersion, Environment
from roadworthy.pipelines.sources import Sources
from roadworthy.registry import git, surroundings
from roadworthy.store.blobs import Blobs

DIFF_BYTES_MAX = 32 << 20


def code(blobs: Blobs, sources: Sources) -> CodeVersion:
    """Which code a run runs: a digest and an archive of the source files as they were read, and what git says."""
    tree = git.below(sources.root)
    return CodeVersion(
        digest=sources.digest(),
        commit=tree.commit,
        dirty=tree.dirty,
        diff=blobs.put(tree.diff) if tree.diff and len(tree.diff) <= DIFF_BYTES_MAX else None,
        archive=blobs.put(sources.archive()),
    )


def here() -> Environment:
    """Python, platform and every installed distribution."""
    return surroundings.environment()
