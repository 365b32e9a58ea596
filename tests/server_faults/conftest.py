"""What the tests of faults share: their counts are printed, for docs/explanation/durability.md."""

from collections.abc import Callable

import pytest


@pytest.fixture
def count(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Say a count where whoever runs the tests sees it."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n  {line}")

    return say
