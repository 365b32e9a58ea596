"""What came of a move is shown whole as JSON, and to people so much that they can read it."""

import json

import msgspec
import pytest

from roadworthy.faces.cli import moved


class Report(msgspec.Struct):
    problems: list[str]


@pytest.mark.parametrize("count", [0, 1, moved.SHOWN_MAX, moved.SHOWN_MAX + 3])
def test_no_more_lines_than_can_be_read_and_the_rest_is_counted(capsys: pytest.CaptureFixture[str], count: int) -> None:
    report = Report([f"run {n}: gone" for n in range(count)])
    if count:
        with pytest.raises(SystemExit) as ended:
            moved.show(report, [("runs", "3")], report.problems, as_json=False)
        assert ended.value.code == 1
    else:
        moved.show(report, [("runs", "3")], as_json=False)
    out, err = capsys.readouterr()
    assert "3" in out
    for kind in ("warning", "note"):
        assert err.count(f"{kind}: run ") == min(count, moved.SHOWN_MAX)
        assert (f"{kind}: and 3 more; --json has them all" in err) == (count > moved.SHOWN_MAX)


def test_json_has_all(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report([f"run {n}: gone" for n in range(50)])
    with pytest.raises(SystemExit):
        moved.show(report, [], as_json=True)
    assert json.loads(capsys.readouterr().out)["problems"] == report.problems
