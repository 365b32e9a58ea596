"""A project file's mistakes are named with line, column, what is allowed and the nearest right key, all at once."""

from pathlib import Path

import jsonschema
import msgspec
import pytest

from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.project import Project
from roadworthy.store import project_file

HEAD = '[project]\nname = "p"\n'


@pytest.fixture
def mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def read(text: str | bytes) -> list[dict]:
        path = tmp_path / project_file.FILE
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(Fault) as fault:
            project_file.read(path)
        assert fault.value.code == Code.INVALID
        assert fault.value.where.startswith(project_file.FILE)
        return fault.value.detail.get("problems", [{"what": fault.value.what, "fix": fault.value.fix}])

    return read


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / project_file.FILE
    path.write_text(HEAD + '[data.d]\npath = "x.csv"\n[gate]\nrules = ["a > 1", { rule = "b", level = "warn" }]\n')
    place = project_file.read(path)
    assert place.root == tmp_path
    assert place.project.gate.rules[0] == "a > 1"
    assert [(p, r.rule) for p, r in project_file.rules(place.project)] == [
        (("gate", "rules", 0), "a > 1"),
        (("gate", "rules", 1), "b"),
    ]


# text after the head (which has two lines); line, column, key, and words of what is said
CASES = [
    ("[gates]\n", 3, 2, "gates", "unknown key", "did you mean `gate`?"),
    ("[data.d]\npth = 'x'\n", 4, 1, "data.d.pth", "unknown key", "did you mean `path`?"),
    ("[gate]\nSlice-Min-Rows = 3\n", 4, 1, "gate.Slice-Min-Rows", "unknown key", "`slice_min_rows`"),
    ("[model]\nname='m'\nstep='s'\nholdout='h'\nlabel='l'\nrules=[]\n", 8, 1, "model.rules", "unknown key", "belongs in [gate]"),
    ("[data.D]\npath='x'\n", 3, 7, "data.D", '"D" is not allowed', "lower-case"),
    ("[data.d]\npath='x'\ncontract.columns.c.type='strng'\n", 5, 25, "data.d.contract.columns.c.type", "strng", 'did you mean "string"?'),
    ("[release.local]\nport='8600'\n", 4, 6, "release.local.port", "the string", "whole number from 1 to 65535"),
    ("[release.local]\nport=0\n", 4, 6, "release.local.port", "out of range", "from 1 to 65535"),
    ("[release.local]\nport=true\n", 4, 6, "release.local.port", "boolean true", "whole number"),
    ("[gate]\nconfidence=1.0\n", 4, 12, "gate.confidence", "out of range", "over 0.5 and under 1.0"),
    ("[gate]\nslices='carrier'\n", 4, 8, "gate.slices", "the string", "a list, each item a string"),
    ("[gate]\nrules=[\n 'ok',\n {rule='x', levl='warn'},\n]\n", 6, 13, "gate.rules[1].levl", "unknown key", "`level`"),
    ("[gate]\nrules=[3]\n", 4, 8, "gate.rules[0]", "the number 3", "a table with the keys"),
    ("[[gate.rules]]\nrule='a'\n[[gate.rules]]\nname='b'\n", 5, 8, "gate.rules[1]", "`rule` is missing", "CEL"),
    ("[operate]\nevery='1 day'\n", 4, 7, "operate.every", '"1 day"', "ms, s, m, h, d or w"),
    ("[operate]\nevery='1d\\n'\n[release.local]\n", 4, 7, "operate.every", "is not allowed", "unit"),
    ("[model]\nname='m'\n", 3, 2, "model", "`step` is missing", "estimator"),
    ("[data.d]\npath='x'\n[data.d.contract.columns.c]\nmin=2013-01-01\n", 6, 5, "data.d.contract.columns.c.min", "write it as a string", "a string"),
    # what no single type can say
    ("[data.d]\n", 3, 7, "data.d", "neither", "give one"),
    ("[data.d]\npath='x'\npython='m:f'\n", 3, 7, "data.d", "both", "give one"),
    ("[data.d]\npath=' '\n", 4, 6, "data.d.path", "empty", "glob"),
    ("[data.d]\npath='x'\n[params]\nd=1\n", 6, 1, "params.d", "data set is called d too", "rename"),
    ("[params]\nx={y=[1.0,nan]}\n", 4, 11, "params.x.y[1]", "nan", "finite"),
    ("[operate]\ntarget='lcal'\n[release.local]\n", 4, 8, "operate.target", "no target lcal", "did you mean local?"),
    ("[operate]\nevery='0d'\n[release.local]\n", 4, 7, "operate.every", "no time at all", "more than 0"),
    ("[release.a]\n[release.b]\n", 4, 10, "release.b.port", "the port 8600 already", "its own"),
    ("[release.a.canary]\nshares=['50%','10%']\n", 4, 15, "release.a.canary.shares[1]", "not more", "grow"),
    ("[data.d]\npath='x'\ncontract.rows={min=5,max=4}\n", 5, 26, "data.d.contract.rows.max", "less than min", "nothing"),
    ("[data.d]\npath='x'\ncontract.columns.c={pattern='('}\n", 5, 29, "data.d.contract.columns.c.pattern", "regular expression", ""),
    ("[data.d]\npath='x'\ncontract.columns.c={type='integer',min='a'}\n", 5, 40, "data.d.contract.columns.c.min", "no limit", "a number"),
    ("[data.d]\npath='x'\ncontract.columns.c={type='date',max='tomorrow'}\n", 5, 37, "data.d.contract.columns.c.max", "no limit", "2013-01-31"),
    ("[data.d]\npath='x'\ncontract.columns.c={}\ncontract.forbidden=['c']\n", 6, 21, "data.d.contract.forbidden[0]", "described", ""),
    ("[model]\nname='m'\nstep='s'\nholdout='h'\nlabel='l'\nfeatures=['a','l']\n", 8, 15, "model.features[1]", "label", "told"),
    ("[monitor.m]\nrules=[]\nwebhook='ftp://x'\n", 5, 9, "monitor.m.webhook", "web address", "https"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "column", "key", "what", "fix"), CASES, ids=[c[3] + "-" + c[4] for c in CASES]
)
def test_a_mistake_is_named_where_it_is(mistakes, text, *, line, column, key, what, fix) -> None:
    found = mistakes(HEAD + text)
    first = found[0]
    assert (first["line"], first["column"], first["key"]) == (line, column, key)
    assert what in first["what"]
    assert fix in first["fix"]


def test_all_mistakes_come_in_one_go(mistakes, tmp_path: Path) -> None:
    text = "[projct]\nname='p'\n[gate]\nslices=3\nx=1\n[release.local]\nport='a'\n"
    found = mistakes(text)
    assert [(p["line"], p["key"]) for p in found] == [
        (1, "projct"), (4, "gate.slices"), (5, "gate.x"), (7, "release.local.port")
    ]  # fmt: skip
    with pytest.raises(Fault, match="4 mistakes") as fault:
        project_file.read(tmp_path / project_file.FILE)
    assert "\n  roadworthy.toml:4:8: gate.slices" in fault.value.what


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        (b"", "empty", "[project]"),
        (b"\xef\xbb\xbf \n", "empty", "[project]"),
        (b"[project]\nname = flights\n", "not TOML", 'name = "flights"'),
        (b"[project]\nname = True\n", "not TOML", "write true"),
        (b'[project]\nname = "a"\nname = "b"\n', "there already", "once"),
        (b'[project]\n[project]\nname = "b"\n', "there already", "once"),
        (b'[project]\nname = "C:\\data"\n', "not TOML", "single quotes"),
        (b"[project\n", "not TOML", ""),
        (b'[project]\nname = "\xff"\n', "not UTF-8", "save it"),
        ('[project]\nname = "é"\n'.encode("utf-16"), "not UTF-8", "save it"),
        (b"[params]\na=" + b"[" * 9_000, "nested too deeply", ""),
        (b"#" * (1 << 20) + b"\n", "over", "files of its own"),
        (b"\x00\x01", "not TOML", ""),
    ],
)
def test_what_is_no_project_file_at_all(mistakes, tmp_path: Path, text: bytes, what: str, fix: str) -> None:
    mistakes(text)
    with pytest.raises(Fault) as fault:
        project_file.read(tmp_path / project_file.FILE)
    assert what in fault.value.what
    assert fix in fault.value.fix


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistake(mistakes, tmp_path: Path) -> None:
    path = tmp_path / project_file.FILE
    path.write_bytes(b'\xef\xbb\xbf[project]\r\nname = "p"\r\n')
    assert project_file.read(path).project.name == "p"
    assert (mistakes(b'\xef\xbb\xbf[project]\r\nname = "p"\r\n[x]\r\n')[0]["line"]) == 3


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    (tmp_path / project_file.FILE).mkdir()
    with pytest.raises(Fault, match="folder"):
        project_file.read(tmp_path / project_file.FILE)
    with pytest.raises(Fault, match="cannot be read"):
        project_file.read(tmp_path / "none.toml")
    assert project_file.find(tmp_path) is None


def test_the_nearest_file_above_is_found(tmp_path: Path) -> None:
    (tmp_path / project_file.FILE).write_text(HEAD)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert project_file.find(tmp_path / "a" / "b") == tmp_path / project_file.FILE


def test_other_rooms_can_point_at_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / project_file.FILE
    path.write_text(HEAD + "[gate]\nrules = ['ok',\n  'a >']\n")
    problem = project_file.Problem(path=("gate", "rules", 1), what="no CEL")
    assert str(project_file.fault(path, [problem])) == "roadworthy.toml:5:3: gate.rules[1]: no CEL"


def test_the_shipped_schema_is_current() -> None:
    shipped = Path(project_file.__file__).parent / "roadworthy.schema.json"
    assert shipped.read_bytes() == project_file.schema(), "rw schema > src/roadworthy/store/roadworthy.schema.json"


def test_the_schema_is_valid_and_says_of_every_key_what_it_means() -> None:
    schema = msgspec.json.decode(project_file.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, table in schema["$defs"].items():
        assert table["description"], name
        for key, field in table["properties"].items():
            assert field.get("description"), f"{name}.{key}"


@pytest.mark.parametrize(
    "case", [c for c in CASES if c[4] in {"unknown key", "out of range", "the string", "boolean true"}]
)
def test_the_schema_refuses_what_the_reader_refuses(case) -> None:
    import tomllib

    schema = msgspec.json.decode(project_file.schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(HEAD + case[0]), schema)


def test_the_walk_and_the_decoder_agree_that_nothing_is_wrong() -> None:
    table = msgspec.to_builtins(msgspec.convert({"project": {"name": "p"}}, Project))
    cleaned = {k: v for k, v in table.items() if v is not None}
    assert project_file.diagnosis.problems(_without_none(cleaned), Project) == []


def _without_none(value):
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value
