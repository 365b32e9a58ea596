"""Caches: files that may be lost at any time, and are whole whenever they are there.

In: a path and its new content. Out: nothing; what cannot be kept is found out again next time, which is only slower.
Called by whoever remembers between processes what it found out (pipelines/libraries.py, pipelines/sources.py).
"""

import contextlib
import os
from pathlib import Path


def keep(path: Path, content: bytes) -> None:
    """Put a file in its place whole, its folder with it; one that cannot be written is left as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
