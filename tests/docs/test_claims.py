"""What the documentation names is there: tests, commands and their options."""

import re
import shlex
from pathlib import Path

import click
import pytest

from roadworthy.faces.cli.main import VERBS, rw

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(?:console|bash|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\s*\$ (?:[A-Z_]+=\S+ )*rw (.*?)(?:\s+#.*)?$", re.MULTILINE)


def test_every_test_that_the_security_page_names_is_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = 0
    for row in text.splitlines():
        path = None
        for found in re.finditer(r"`(tests/[\w/]+\.py)::(test_\w+)`|`(test_\w+)`", row):
            path = found.group(1) or path
            assert path is not None, row
            name = found.group(2) or found.group(3)
            assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE), (
                f"{path}::{name}"
            )
            named += 1
    assert named > 30


def commands() -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), command)
        for page in PAGES
        for fence in FENCE.findall(page.read_text("utf-8"))
        for command in COMMAND.findall(fence)
    ]


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_that_is_shown_exists_with_its_options(page: str, command: str) -> None:
    words = shlex.split(command.rstrip("&").strip())
    root = click.Context(rw, info_name="rw")
    while words and words[0].startswith("-"):
        words.pop(0)
    if not words:
        return
    assert words[0] in VERBS, page
    found = rw.get_command(root, words.pop(0))
    while isinstance(found, click.Group) and words:
        below = found.get_command(root, words[0])
        if below is None:
            break
        found = below
        words.pop(0)
    assert found is not None
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word in {"|", "&&", ";", ">"}:
            break
        if word.startswith("-") and word != "-" and not re.fullmatch(r"-\d.*", word):
            assert word.partition("=")[0] in {*known, "--help", "-h"}, f"{page}: rw {command}"


def test_commands_are_shown() -> None:
    assert len(commands()) > 40
