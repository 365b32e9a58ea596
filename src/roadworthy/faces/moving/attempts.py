"""One piece of a move after another: what fails is written down, and the rest goes on.

In: what is to be done. Out: a line among the problems if it failed. Called by importer.py and exporter.py.
"""

from collections.abc import Callable, Collection

from roadworthy.nouns.errors import Code, Fault


def attempt(problems: list[str], what: str, work: Callable[[], None], *, ending: Collection[Code] = ()) -> None:
    """Do a piece of work.

    Args:
        what: the piece, as a problem with it begins.
        ending: failures with which there is no use in going on.

    Raises:
        Fault: one of those.
    """
    try:
        work()
    except Fault as problem:
        if problem.code in ending:
            raise
        problems.append(f"{what}: {problem.what}" + (f" ({problem.where})" if problem.where else ""))
