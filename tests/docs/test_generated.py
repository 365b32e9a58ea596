"""Reference pages say what the code does: they are written from it, and this finds those that no longer are."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(generator().pages()))
def test_a_generated_page_is_as_the_code_has_it(path: str) -> None:
    text = generator().pages()[path]
    assert (DOCS / path).read_text("utf-8") == text, "run: python docs/generate.py"
