"""`@rw.step`: says that a plain function is a step of the pipeline; the function itself stays as it was.

In: the user's functions. Out: the same functions, marked. The runner reads steps from the source text (graph.py), so
that nothing of the user's is imported when nothing has to run; the mark is for the worker, which calls the function.
"""

from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

from roadworthy.nouns.errors import invalid

MARK = "__roadworthy_step__"
RETRIES_MAX = 10

Function = TypeVar("Function", bound=Callable[..., Any])


class StepOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a step says of itself beside its code.

    Args:
        retries: how often to try again after a failure, 0 to 10.
        timeout: limit for one attempt in seconds, or such as `"15m"`; None for none.
        cache: False for steps that must run every time.
        format: how the output is stored; None chooses by its type.
        trusted: names of types that the output may contain beyond those trusted by default.
    """

    retries: int = 0
    timeout: float | str | None = None
    cache: bool = True
    format: str | None = None
    trusted: tuple[str, ...] = ()


@overload
def step(function: Function, /) -> Function: ...


@overload
def step(
    *,
    retries: int = 0,
    timeout: float | str | None = None,
    cache: bool = True,
    format: str | None = None,
    trusted: tuple[str, ...] | list[str] = (),
) -> Callable[[Function], Function]: ...


def step(
    function: Function | None = None,
    /,
    *,
    retries: int = 0,
    timeout: float | str | None = None,
    cache: bool = True,
    format: str | None = None,  # noqa: A002 - the word users know
    trusted: tuple[str, ...] | list[str] = (),
) -> Any:
    """Make a function a step: its arguments are other steps, data sets and parameters, by name.

    The function stays callable as before, so that it can be tested and used in a notebook.

    Args:
        retries: how often to try again after a failure, 0 to 10.
        timeout: limit for one attempt in seconds, or such as `"15m"`.
        cache: False to run it every time.
        format: how to store what it returns (`parquet`, `json`, `skops`, `pickle` …); chosen by type if not given.
        trusted: names of types beyond scikit-learn's own that a returned model may contain.

    >>> @step
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(4)
    8
    """
    options = StepOptions(retries=retries, timeout=timeout, cache=cache, format=format, trusted=tuple(trusted))
    if not 0 <= retries <= RETRIES_MAX:
        raise invalid(f"a step is tried again at most {RETRIES_MAX} times", where=f"retries={retries}")

    def mark(marked: Function) -> Function:
        if not callable(marked) or isinstance(marked, type):
            raise invalid("a step is a function", where=repr(marked)[:80])
        setattr(marked, MARK, options)
        return marked

    return mark if function is None else mark(function)
