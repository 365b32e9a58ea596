"""`rw` itself: version, help, mistakes, exit codes, and what it does not load."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy import __version__
from roadworthy.faces.cli import main, output
from roadworthy.nouns.errors import EXIT_CODES, EXIT_INTERNAL

HEAVY = {
    "pandas", "numpy", "duckdb", "pyarrow", "sklearn", "scipy", "cel", "cryptography", "rich", "uvicorn", "aiohttp",
    "jinja2", "skops", "sqlite3", "psycopg",
}  # fmt: skip


def test_the_version_is_a_line(rw) -> None:
    done = rw("--version")
    assert (done.stdout, done.returncode) == (f"rw, version {__version__}\n", 0)


def test_nothing_is_said_while_a_command_ends_that_used_native_libraries(rw, tmp_path: Path) -> None:
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n')
    (tmp_path / "two.csv").write_text("a\n1\n2\n")
    done = rw("data", "add", "two.csv")
    assert done.stdout.startswith("two ")
    assert done.stderr.startswith("took ")
    assert done.stderr.count("\n") == 1


def test_help_comes_for_every_wish(rw) -> None:
    asked = rw("--help")
    assert asked.returncode == 0
    assert rw().stdout == rw("-h").stdout == asked.stdout
    assert rw().returncode == 0
    for verb, (_, line) in main.VERBS.items():
        assert verb in asked.stdout
        assert line in asked.stdout


def test_the_exit_codes_of_the_help_are_those_of_the_errors(rw) -> None:
    shown = dict(main.EXIT_CODES)
    assert {str(number): code for code, number in EXIT_CODES.items()}.items() >= {
        number: line.partition(":")[0].replace(" ", "_") for number, line in shown.items() if number not in "0 70 130"
    }.items()
    assert str(EXIT_INTERNAL) in shown
    assert set(shown) == {str(number) for number in [0, *EXIT_CODES.values(), EXIT_INTERNAL, 130]}
    assert "unavailable: something" in rw("--help").stdout


@pytest.mark.parametrize(
    "verb", [v for v in main.VERBS if (Path(main.__file__).parent / f"{main.VERBS[v][0]}.py").exists()]
)
def test_every_verb_has_help(verb: str, rw) -> None:
    done = rw(verb, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: rw {verb}" in done.stdout
    assert "\\b" not in done.stdout


@pytest.mark.parametrize("statement", ["import roadworthy", "from roadworthy.faces.cli.main import main"])
def test_nothing_heavy_is_imported(statement: str) -> None:
    code = f"{statement}; import sys; print(' '.join(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not HEAVY & set(loaded.stdout.split())


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], ["schema"], ["runs", "--help"], ["rnus"], ["completion", "bash"]]
)
def test_nothing_heavy_is_imported_by_a_command(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: open('loaded', 'w').write(' '.join(m for m in sys.modules if '.' not in m)))\n"
        f"sys.argv = ['rw', *{arguments!r}]\n"
        "from roadworthy.faces.cli.main import main; main()"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60, cwd=tmp_path)
    allowed = {"sqlite3"} if arguments[0] == "runs" else set()
    assert not (HEAVY - allowed) & set((tmp_path / "loaded").read_text().split())


def test_the_nearest_command_is_named(rw) -> None:
    done = rw("rnus")
    assert done.returncode == 2
    assert "Did you mean `rw runs`?" in done.stderr
    assert done.stdout == ""
    assert rw("runs", "--jsn").returncode == 2
    assert "--json" in rw("runs", "--jsn").stderr


def test_mistakes_are_json_when_json_is_asked_for(rw, tmp_path: Path) -> None:
    outside = rw("runs", "--json")
    assert outside.returncode == 3
    assert json.loads(outside.stdout)["error"]["code"] == "not_found"
    assert "rw new NAME" in outside.stderr
    usage = rw("runs", "--json", "--limit", "none")
    assert usage.returncode == 2
    assert json.loads(usage.stdout)["error"]["code"] == "invalid"
    (tmp_path / "roadworthy.toml").write_text("[projct]\n")
    wrong = rw("runs", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["error"]["problems"][0]["key"] == "projct"
    assert "roadworthy.toml:1:2: projct: unknown key" in wrong.stderr


def test_outside_a_project_nothing_is_made(rw, tmp_path: Path) -> None:
    for verb in ("runs", "models", "audit"):
        done = rw(verb)
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_defect_is_named_as_one_and_its_report_comes_on_request(monkeypatch, capsys) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(main.rw, "main", broken)
    for arguments, traceback in [(["rw"], False), (["rw", "--debug"], True), (["rw", "--json"], False)]:
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as stop:
            main.main()
        assert stop.value.code == EXIT_INTERNAL
        said = capsys.readouterr()
        assert "internal error: ZeroDivisionError: oh" in said.err
        assert ("Traceback" in said.err) is traceback
        assert ('"internal"' in said.out) is ("--json" in arguments)


def test_a_reader_who_leaves_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m roadworthy schema | head -c 10"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_that_knows_only_ascii_is_no_error(rw, tmp_path: Path) -> None:
    (tmp_path / "roadworthy.toml").write_text('[project]\nname = "p"\n["é…"]\n', "utf-8")
    done = rw("runs", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 2
    assert "unknown key" in done.stderr


def test_an_interrupt_ends_with_130(tmp_path: Path, monkeypatch, capsys) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main.rw, "main", interrupted)
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, rw) -> None:
    done = rw("completion", shell)
    assert done.returncode == 0
    assert "_RW_COMPLETE" in done.stdout


def test_completion_completes_verbs_and_options(rw) -> None:
    verbs = rw(env={"_RW_COMPLETE": "bash_complete", "COMP_WORDS": "rw ru", "COMP_CWORD": "1"})
    assert verbs.stdout.split() == ["plain,run", "plain,runs"]
    options = rw(env={"_RW_COMPLETE": "bash_complete", "COMP_WORDS": "rw runs --st", "COMP_CWORD": "2"})
    assert "plain,--status" in options.stdout


def on_a_terminal(arguments: list[str], cwd: Path, **environment: str) -> str:
    """What a command shows on a terminal of 60 columns."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "roadworthy", *arguments], cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "COLUMNS": "60", "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    child.wait(timeout=60)
    os.close(ours)
    return shown.decode()


def test_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    assert "\x1b[31m" in on_a_terminal(["runs"], tmp_path)
    assert "\x1b[" not in on_a_terminal(["runs"], tmp_path, NO_COLOR="1")


def test_every_shown_code_has_a_meaning() -> None:
    assert set(output.EXIT_CODES.values()) == set(EXIT_CODES.values())
