"""Imports the project's modules from the text that was analysed, not from what lies on the disk by now.

In: the source texts as read at the start of a run. A file edited while a run is under way, or a compiled file left by
an edit within the same second, can so never run under the key of another text. Installed in the worker only.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import msgspec

from roadworthy.pipelines.orders import Workplace
from roadworthy.pipelines.seen import is_local
from roadworthy.pipelines.sources import FOLDERS


class _Loader(SourceFileLoader):
    """Compiles the kept text; neither reads nor writes compiled files."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        code: CodeType = self.source_to_code(self._text, self.path)
        return code

    def get_data(self, path: str) -> bytes:
        return self._text if path == self.path else super().get_data(path)


class _Finder:
    def __init__(self, texts: dict[str, bytes], root: str) -> None:
        self._texts = texts
        self._root = root

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not spec.origin or not spec.origin.endswith(".py"):
            return None  # not ours: the usual finders go on
        text = self._texts.get(spec.origin)
        if text is None and not is_local(spec.origin, self._root):
            return None
        # Code beside the project (by PYTHONPATH, say) is taken from the disk, but never from a compiled file: that of
        # an edit within the same second is taken by Python for that of the text before.
        spec.loader = _Loader(name, spec.origin, Path(spec.origin).read_bytes() if text is None else text)
        spec.cached = None
        return spec

    def invalidate_caches(self) -> None:
        PathFinder.invalidate_caches()


def install(workplace: Workplace) -> None:
    """Put the project's folders on the path, and its kept texts before whatever else is found there."""
    texts = msgspec.msgpack.decode(Path(workplace.sources).read_bytes(), type=dict[str, bytes])
    folders = [str(Path(workplace.root, folder)) for folder in FOLDERS if Path(workplace.root, folder).is_dir()]
    sys.path[:0] = [folder.rstrip("/") for folder in folders]
    finder: Any = _Finder(texts, workplace.root)
    sys.meta_path.insert(0, finder)
