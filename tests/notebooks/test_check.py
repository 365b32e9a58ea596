import json
from pathlib import Path

import jsonschema
import pytest

from roadworthy.notebooks.check import Checked, check, check_all, found_in, rules_of, surroundings
from roadworthy.notebooks.locks import locked
from roadworthy.notebooks.read import read
from roadworthy.notebooks.reports import github, sarif
from roadworthy.notebooks.rules.catalogue import chosen, every
from roadworthy.notebooks.rules.subject import Surroundings
from roadworthy.nouns.errors import Code, Fault
from roadworthy.store import project_file
from tests.notebooks import sarif_schema
from tests.notebooks.making import code, findings, markdown, write

# What SARIF 2.1.0 asks of a log, as far as we write one (OASIS, sections 3.13 to 3.30).
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
PHYSICAL = {
    "type": "object",
    "required": ["artifactLocation"],
    "properties": {
        "artifactLocation": {
            "type": "object",
            "required": ["uri"],
            "properties": {"uri": {"type": "string", "format": "uri-reference"}},
        },
        "region": {
            "type": "object",
            "required": ["startLine"],
            "properties": {
                "startLine": {"type": "integer", "minimum": 1},
                "endLine": {"type": "integer", "minimum": 1},
                "snippet": TEXT,
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
SARIF = {
    "type": "object",
    "required": ["version", "runs", "$schema"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "semanticVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id", "shortDescription"],
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string"},
                                                "shortDescription": TEXT,
                                                "fullDescription": TEXT,
                                                "help": TEXT,
                                                "defaultConfiguration": {"type": "object", "properties": {"level": LEVEL}},
                                            },
                                            "additionalProperties": False,
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {"type": "object", "required": ["executionSuccessful"], "properties": {"executionSuccessful": {"type": "boolean"}}},
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": LEVEL,
                                "message": TEXT,
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "physicalLocation": PHYSICAL,
                                            "logicalLocations": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "kind": {"type": "string"}}}},
                                        },
                                        "additionalProperties": False,
                                    },
                                },
                                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                                "properties": {"type": "object"},
                            },
                            "additionalProperties": False,
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


def checked(path: Path) -> Checked:
    return next(iter(check_all([path], chosen(), Surroundings())))


def test_findings_come_in_the_order_of_the_notebook(tmp_path: Path) -> None:
    found = findings(tmp_path, "import os", "x = unknown\nimport os\nother", "%cd ..")
    assert [(f.cell, f.line) for f in found] == sorted((f.cell, f.line) for f in found)


@pytest.mark.parametrize(
    ("cells", "left"),
    [
        (["x = unknown  # rw: ignore[RWN104]"], []),
        (["x = unknown  # rw: ignore"], []),
        (["x = unknown  # rw: ignore[undefined-name, RWN999]"], []),
        (["x = unknown  # rw: ignore[RWN105]"], [(0, 1)]),
        (["x = unknown\ny = other  # rw: ignore[RWN104]"], [(0, 1)]),
        (["# rw: ignore[RWN104]\nx = unknown\ny = other", "z = third"], [(1, 1)]),
        (["x = 1\n# rw: ignore[RWN104]\ny = other"], [(0, 3)]),
        (["x = f(\n    unknown,\n)  # rw: ignore[RWN104]"], [(0, 1), (0, 2)]),
        (["# rw: ignore-file[RWN104]", "x = unknown"], []),
        (["# rw: Ignore [RWN104]\nx = unknown"], []),
    ],
)
def test_a_notebook_may_decline_findings(tmp_path: Path, cells: list[str], left: list[tuple[int, int]]) -> None:
    found = findings(tmp_path, *cells, select="RWN104")
    assert [(f.cell, f.line) for f in found] == left


def test_findings_of_outputs_are_declined_for_the_cell(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "x" * 2_000_000}
    declined = code("# rw: ignore[RWN601]\nprint(x)", count=1, outputs=[output])
    assert findings(tmp_path, declined, select="RWN601") == []


def test_folders_are_searched_and_what_is_hidden_or_excluded_is_not(tmp_path: Path) -> None:
    for name in (
        "a.ipynb",
        "deep/b.ipynb",
        ".ipynb_checkpoints/c.ipynb",
        ".venv/d.ipynb",
        "node_modules/e.ipynb",
        "old/f.ipynb",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path.parent, "x = 1", name=path.name)
    (tmp_path / "percent.py").write_text("# %%\nx = 1\n")
    (tmp_path / "plain.py").write_text("x = 1\n")
    found = found_in([tmp_path], ["old/*"], tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in found] == ["a.ipynb", "percent.py", "deep/b.ipynb"]
    with pytest.raises(Fault) as caught:
        found_in([tmp_path / "none.ipynb"])
    assert caught.value.code is Code.NOT_FOUND
    (tmp_path / "empty").mkdir()
    with pytest.raises(Fault) as caught:
        found_in([tmp_path / "empty"])
    assert "no notebooks" in caught.value.what


def test_one_that_cannot_be_read_does_not_keep_others_from_being_checked(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{")
    write(tmp_path, "x = unknown", name="b.ipynb")
    first, second = check_all(found_in([tmp_path]), chosen(), Surroundings())
    assert first.problem is not None
    assert second.failed


def test_the_project_turns_rules_on_and_off(tmp_path: Path) -> None:
    toml = tmp_path / "roadworthy.toml"
    toml.write_text('[project]\nname = "p"\n[notebook]\nselect = ["RWN1", "late-import"]\nignore = ["RWN108"]\n')
    on = {rule.code for rule in rules_of(project_file.read(toml))}
    assert {"RWN101", "RWN203"} <= on
    assert not on & {"RWN108", "RWN501"}
    assert {r.code for r in rules_of(project_file.read(toml), ("RWN501",))} == {"RWN501"}
    toml.write_text('[project]\nname = "p"\n[notebook]\nselect = ["RWN1"]\nignore = ["RWN999"]\n')
    with pytest.raises(Fault) as caught:
        rules_of(project_file.read(toml))
    assert "no rule is called 'RWN999'" in caught.value.what
    assert ":5:" in caught.value.where
    toml.write_text('[project]\nname = "p"\n[notebook]\nselct = []\n')
    with pytest.raises(Fault) as caught:
        project_file.read(toml)
    assert "select" in caught.value.fix


def test_surroundings_are_the_projects(tmp_path: Path) -> None:
    toml = tmp_path / "roadworthy.toml"
    toml.write_text('[project]\nname = "p"\n[data.x]\npath = "data/*.csv"\n[notebook]\noutput_max_kb = 5\n')
    (tmp_path / "requirements.txt").write_text("pandas==2.0\n")
    around = surroundings(tmp_path, project_file.read(toml))
    assert (around.data, around.output_max_kb, around.lock) == (("data/*.csv",), 5, "requirements.txt")
    assert around.locked == {"pandas"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", '[[package]]\nname = "Pandas"\nversion = "2"\n[[package]]\nname = "ruamel.yaml"\n'),
        ("poetry.lock", '[[package]]\nname = "pandas"\n[[package]]\nname = "ruamel_yaml"\n'),
        ("pylock.toml", '[[packages]]\nname = "pandas"\n[[packages]]\nname = "ruamel-yaml"\n'),
        ("Pipfile.lock", '{"default": {"pandas": {}}, "develop": {"ruamel.yaml": {}}}'),
        ("requirements.txt", "# c\n-r more.txt\npandas[excel]==2.0 ; python_version > '3' \\\n    --hash=sha256:x\n"),
        ("environment.yml", "name: x\ndependencies:\n  - conda-forge::pandas=2\n  - pip:\n    - ruamel.yaml==1\n"),
    ],
)
def test_locks_of_every_kind_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "more.txt").write_text("ruamel.yaml\n-r more.txt\n")
    (tmp_path / name).write_text(text)
    names, lock = locked(tmp_path)
    assert lock == name
    assert names is not None
    assert {"pandas", "ruamel-yaml"} <= names


def test_a_lock_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("= broken")
    assert locked(tmp_path) == (None, "")


def test_sarif_is_as_the_standard_asks(tmp_path: Path) -> None:
    path = write(tmp_path, markdown("# x"), "import os\nx = unknown")
    (tmp_path / "broken.ipynb").write_text("{")
    log = sarif([checked(path), checked(tmp_path / "broken.ipynb")], every())
    jsonschema.validate(log, SARIF, format_checker=jsonschema.FormatChecker())
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == 2
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
        shown = path.read_text().splitlines()[line - 1]
        assert result["locations"][0]["physicalLocation"]["region"]["snippet"]["text"] in shown
    assert run["invocations"][0]["executionSuccessful"] is False
    assert len({r["partialFingerprints"]["roadworthy/v1"] for r in run["results"]}) == 2
    json.dumps(log)


@pytest.mark.slow
@pytest.mark.skipif(not sarif_schema.can_be_had(), reason="the schema is fetched by npm")
def test_sarif_is_valid_by_the_schema_of_oasis(tmp_path: Path) -> None:
    strange = write(tmp_path, "y = unbekannt  # ü\n").rename(tmp_path / "größe 1.ipynb")
    path = write(tmp_path, markdown("# x"), "import os\nx = unknown\n%cd a", "import os")
    (tmp_path / "broken.ipynb").write_text("{")
    rules = every()
    log = sarif([checked(path), checked(strange), checked(tmp_path / "broken.ipynb")], rules)
    validator = jsonschema.Draft4Validator(sarif_schema.schema(), format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(json.loads(json.dumps(log)))] == []
    assert len(log["runs"][0]["results"]) >= 5
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not validator.is_valid(log)


def test_annotations_name_the_line_of_the_file_and_are_escaped(tmp_path: Path) -> None:
    path = write(tmp_path, "x = unknown\n%cd a%b")
    lines = list(github([checked(path)]))
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning"]
    number = int(lines[0].partition("line=")[2].partition(",")[0])
    assert "x = unknown" in path.read_text().splitlines()[number - 1]
    assert all("\n" not in line for line in lines)
    assert "%25cd" in lines[1]


def test_a_script_is_annotated_at_its_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("# %%\nprint(1)\n\n# %%\ny = unknown\n")
    (line,) = github([checked(path)])
    assert "line=5," in line


def test_checking_the_same_notebook_twice_says_the_same(tmp_path: Path) -> None:
    notebook = read(write(tmp_path, "import os", "x = unknown", "y = [x]", "y.append(1)"))
    assert check(notebook, chosen(), Surroundings()) == check(notebook, chosen(), Surroundings())
