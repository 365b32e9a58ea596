"""House rules that no linter knows: sizes, names, and what may not be written in a file of ours."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
LINES_MAX = 450
FUNCTION_LINES_MAX = 80
METHODS_MAX = 22
EMPTY_NAMES = re.compile(r"^(utils?|helpers?|common|misc|manager)$")
# Hosts of package registries: a file with one would break the install of whoever uses another.
REGISTRIES = re.compile(r"https?://[^ ]*(pypi|pythonhosted|npmjs|deb\.debian|proxy\.golang)")


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_idea_of_readable_size(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= LINES_MAX, "divide it"
    assert not any(EMPTY_NAMES.match(part) for part in [path.stem, *path.parent.parts]), "the name says nothing"
    tree = ast.parse(text)
    if text.strip():
        assert ast.get_docstring(tree), "say what flows in, what flows out, who calls it"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} is longer than a screen"
        if isinstance(node, ast.ClassDef):
            methods = sum(isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) for child in node.body)
            assert methods <= METHODS_MAX, f"{node.name} does too much"


def test_no_file_names_a_registry_host() -> None:
    named = [str(p.relative_to(ROOT)) for p in tracked() if p != Path(__file__) and _names_a_registry(p)]
    assert named == []


def _names_a_registry(path: Path) -> bool:
    try:
        return bool(REGISTRIES.search(path.read_text("utf-8")))
    except UnicodeDecodeError:
        return False
