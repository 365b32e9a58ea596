"""Deeds that are cut short at any step, as by kill -9: no `finally` runs, no buffer is written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


def killed(at: int, deed: Callable[[], object]) -> None:
    """Do something in a process that ends, as by kill -9, at its `at`-th step that changes the disk."""
    process = os.fork()
    if process:
        os.waitpid(process, 0)
        return
    left = [at]

    def dying(call: Callable[..., object]) -> Callable[..., object]:
        def die_or_do(*arguments: object, **named: object) -> object:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return call(*arguments, **named)

        return die_or_do

    try:
        patch = pytest.MonkeyPatch()
        for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "link"), (os, "fdatasync"), (os, "writev")):
            patch.setattr(owner, name, dying(getattr(owner, name)))
        deed()
    finally:
        os._exit(0)
