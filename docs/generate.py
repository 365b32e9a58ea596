# ruff: noqa: INP001, ISC004 - a script beside the pages it writes, with sentences over several lines
"""Write the reference pages that follow from the code: `python docs/generate.py`, or `--check` to see that they do.

reference/cli.md comes from the commands themselves, reference/project-file.md from the types that validate
`roadworthy.toml`, reference/server-file.md from those of `[server]`, reference/api.md and openapi.json from the
server's routes, reference/mlflow-endpoints.md from MLflow's list of endpoints held against those routes,
reference/exit-codes.md from the table that faults go through, reference/notebook-rules.md from what
the rules say of themselves.
"""

import json
import sys
from pathlib import Path
from typing import Any, get_args

import click
import msgspec

from roadworthy.faces.cli.main import VERBS, rw
from roadworthy.faces.server.api import routes
from roadworthy.faces.server.configuration import Table
from roadworthy.faces.server.identity.oidc import Provider
from roadworthy.faces.server.identity.workloads import Workload
from roadworthy.faces.server.mlflow import coverage
from roadworthy.faces.server.probes import MLFLOW_VERSION
from roadworthy.notebooks.lessons import lesson
from roadworthy.notebooks.rules import catalogue
from roadworthy.nouns.errors import EXIT_CODES, EXIT_INTERNAL, HTTP_INTERNAL, HTTP_STATUS, Code
from roadworthy.store import project_file as file

HERE = Path(__file__).resolve().parent
NOTE = "<!-- Made by docs/generate.py; do not edit. -->\n\n"
WIDTH = 100
# Tables in the order in which a project file has them: definition, heading.
TABLES = (
    ("About", "[project]"),
    ("Data", "[data.NAME]"),
    ("Contract", "[data.NAME.contract]"),
    ("ColumnContract", "[data.NAME.contract.columns.COLUMN]"),
    ("RowCount", "rows = { … } in a contract"),
    ("Freshness", "fresh = { … } in a contract"),
    ("SqlRule", "sql = [{ … }] in a contract"),
    ("Pipeline", "[pipeline]"),
    ("StepSettings", "[pipeline.steps.NAME]"),
    ("ModelSpec", "[model]"),
    ("Gate", "[gate]"),
    ("Target", "[release.NAME]"),
    ("Canary", "[release.NAME.canary]"),
    ("Serving", "[serving]"),
    ("MonitorSpec", "[monitor.NAME]"),
    ("Operate", "[operate]"),
    ("Retention", "[retention]"),
    ("NotebookChecks", "[notebook]"),
    ("Rule", "a rule"),
)
SERVER_TYPES = {"Table": Table, "Provider": Provider, "Workload": Workload}
MEANING = {
    Code.INVALID: "the input is wrong: the project file, an argument, a request; the same will fail again",
    Code.NOT_FOUND: "what is named does not exist",
    Code.CONFLICT: "not now: the state is another, or someone else holds the lock",
    Code.REFUSED: "a rule, a missing certificate or a missing permission says no",
    Code.UNAVAILABLE: "something that is needed does not answer, is full, or took too long",
}


def pages() -> dict[str, str]:
    """Every generated page: path under docs/ to text."""
    return {
        "reference/cli.md": commands(),
        "reference/project-file.md": project_file(),
        "reference/exit-codes.md": exit_codes(),
        "reference/notebook-rules.md": notebook_rules(),
        "reference/server-file.md": server_file(),
        "reference/api.md": api(),
        "reference/mlflow-endpoints.md": mlflow_endpoints(),
        "reference/openapi.json": json.dumps(json.loads(routes.DOCUMENT), indent=1, ensure_ascii=False) + "\n",
    }


def commands() -> str:
    """Every command with its help."""
    lines = [NOTE, "# Commands\n\n", "| command | |\n|---|---|\n"]
    lines += [f"| [`rw {verb}`](#rw-{verb}) | {line} |\n" for verb, (_, line) in VERBS.items()]
    lines.append(
        "\nEach command has `--help`, and prints JSON with `--json` where it has a result. Results go to standard"
        " output, progress and problems to standard error. [Exit codes](exit-codes.md) say what kind of problem it was."
        " `rw --debug COMMAND` prints the whole traceback of a defect.\n"
    )
    root = click.Context(rw, info_name="rw", terminal_width=WIDTH, help_option_names=["-h", "--help"])
    for verb in VERBS:
        command = rw.get_command(root, verb)
        assert command is not None
        lines += described(command, f"rw {verb}", root, 2)
    return "".join(lines)


def described(command: click.Command, name: str, parent: click.Context, level: int) -> list[str]:
    """A command's help, and below it that of its own commands."""
    own = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, terminal_width=WIDTH)
    text = "\n".join(line.rstrip() for line in command.get_help(own).splitlines())
    lines = [f"\n{'#' * level} {name}\n\n```text\n{text}\n```\n"]
    if isinstance(command, click.Group):
        for sub in command.list_commands(own):
            found = command.get_command(own, sub)
            if found is not None and not found.hidden:
                lines += described(found, f"{name} {sub}", own, level + 1)
    return lines


def project_file() -> str:
    """Every key of `roadworthy.toml`."""
    definitions = schema_definitions()
    lines = [
        NOTE,
        "# The project file\n\n",
        "A project is a folder with a `roadworthy.toml`. It is checked strictly: an unknown key, a wrong type or an"
        " impossible value is refused with its line and column, what is allowed, and the nearest right key."
        " `rw schema` prints the same as JSON Schema, for editors.\n",
    ]
    for name, heading in TABLES:
        lines += table_of(heading, definitions[name])
    unlisted = set(definitions) - {name for name, _ in TABLES} - {"Project"}
    for name in sorted(unlisted):
        lines += table_of(name, definitions[name])
    return "".join(lines)


def schema_definitions() -> dict[str, Any]:
    """The JSON Schema's definitions."""
    found: dict[str, Any] = json.loads(file.schema())["$defs"]
    return found


def server_file() -> str:
    """Every key of the file of `rw server --config`."""
    _, definitions = msgspec.json.schema_components([Table], ref_template="#/$defs/{name}")
    lines = [
        NOTE,
        "# The server's file\n\n",
        "`rw server --config server.toml` reads it; flags and variables (`ROADWORTHY_SERVER_` and the flag's name) win"
        " over it. Keys that a flag has too mean what [the flag](cli.md#rw-server) says. Unknown keys are refused.\n",
    ]
    for name, heading in (("Table", "[server]"), ("Provider", "[server.oidc]"), ("Workload", "[[server.workloads]]")):
        lines += table_of(heading, explained(definitions[name], SERVER_TYPES[name]))
    return "".join(lines)


def explained(definition: dict[str, Any], kind: type) -> dict[str, Any]:
    """A definition in which each key has what the type's docstring says of it."""
    told: dict[str, str] = {}
    names, text = "", ""
    for line in (kind.__doc__ or "").partition("Args:")[2].splitlines():
        stripped = line.strip()
        head, colon, rest = stripped.partition(": ")
        if colon and head in kind.__struct_fields__:  # type: ignore[attr-defined]
            names, text = head, rest
        elif stripped:
            text = f"{text} {stripped}"
        if names:
            told[names] = text
    properties = {key: {**field, "description": told.get(key, "")} for key, field in definition["properties"].items()}
    return {**definition, "description": "", "properties": properties}


def api() -> str:
    """The native API in short."""
    lines = [
        NOTE,
        "# The API of the server\n\n",
        "Under `/api`, beside MLflow's wire. The whole of it, with every type, is [openapi.json](openapi.json), which"
        " the server gives at `/api/openapi.json`. Lists come in pages: `limit`, and `page` with the `next` of the page"
        ' before. Failures are `{"error": {"code", "what", "where", "fix"}}`'
        " ([codes](exit-codes.md)).\n\n",
        "| | | needs |\n|---|---|---|\n",
    ]
    for one in routes.DESCRIBED:
        needs = one.route.needs + (", in all projects" if one.route.everywhere else "")
        lines.append(f"| `{one.route.method} {one.route.path}` | {cell(one.summary)} | {needs} |\n")
    return "".join(lines)


def mlflow_endpoints() -> str:
    """Every endpoint of MLflow's server, and whether it is here."""
    every = [endpoint for group in coverage.groups() for endpoint in coverage.states(group)]
    count = {state: sum(endpoint.state == state for endpoint in every) for state in get_args(coverage.State)}
    parts = [
        "# MLflow's endpoints\n",
        f"The server speaks the wire of MLflow {MLFLOW_VERSION}. Of the {len(every)} endpoints of MLflow's own server, "
        f"{count['done']} are here; {count['as unconfigured']} answer as MLflow's do where nothing of the kind was "
        "set up, because an LLM gateway, jobs that ask models, review queues, an assistant, a registry of MCP servers "
        f"and workspaces are not what this server is for; {count['refused']} are refused with a reason, because roles "
        f"are fixed here and count in a project; {count['not done']} are not here.\n",
        "Paths under `/api` are also under `/ajax-api`. Answers are held against those of MLflow's own server, "
        "recorded call by call, on SQLite and on PostgreSQL; the tests of each group are named.\n",
    ]
    for group in coverage.groups():
        tests = ", ".join(f"[{Path(test).name}](../../{test})" for test in group.tests)
        parts += [f"## {group.title}\n", f"Tests: {tests}\n", "| endpoint | |", "|---|---|"]
        parts += [f"| `{each.method} {each.path}` | {each.state} |" for each in coverage.states(group)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def table_of(heading: str, definition: dict[str, Any]) -> list[str]:
    """One table of the project file as a table of keys."""
    about = definition.get("description", "").partition(": ")[2] or definition.get("description", "")
    lines = [f"\n## `{heading}`\n\n", f"{about[:1].upper()}{about[1:]}\n" if about else ""]
    lines.append("\n| key | type | default | |\n|---|---|---|---|\n")
    required = set(definition.get("required", ()))
    for key, field in definition.get("properties", {}).items():
        default = "required" if key in required else f"`{toml(field['default'])}`" if "default" in field else ""
        told = cell(field.get("description", ""))
        lines.append(f"| `{key}` | {type_of(field)} | {cell(default)} | {told} |\n")
    return lines


def type_of(field: dict[str, Any]) -> str:
    """What a value must be, in words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        heading = dict(TABLES).get(name, name)
        return f"`{heading}`"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(type_of(part) for part in field["anyOf"] if part.get("type") != "null"))
    if "const" in field:
        return f"`{toml(field['const'])}`"
    if "enum" in field:
        return " or ".join(f"`{toml(value)}`" for value in field["enum"] if value is not None)
    kind = field.get("type", "any value")
    if kind == "array":
        return f"list of {type_of(field.get('items', {}))}"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"table of {type_of(inner)}" if isinstance(inner, dict) else "table"
    words = field.get("title") or {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(
        kind, kind
    )
    limits = [f"{sign} {field[key]:g}" for key, sign in LIMITS if key in field]
    return cell(f"{words} {', '.join(limits)}".strip())


LIMITS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))


def exit_codes() -> str:
    """What each exit code and HTTP status means."""
    lines = [
        NOTE,
        "# Exit codes\n\n",
        "Every failure that a user can act on is one of five kinds; a command ends with its code, the API answers with"
        " its status, and the message says what is wrong, where, and what would pass. With `--json` it is"
        ' `{"error": {"code", "what", "where", "fix", …}}` on standard output.\n\n',
        "| exit code | HTTP | kind | |\n|---|---|---|---|\n",
        "| 0 | 200 | | it was done |\n",
        "| 1 | | | a step of a run failed (`rw run`) |\n",
    ]
    lines += [f"| {EXIT_CODES[code]} | {HTTP_STATUS[code]} | {code} | {MEANING[code]} |\n" for code in Code]
    lines.append(
        f"| {EXIT_INTERNAL} | {HTTP_INTERNAL} | internal | a defect of Roadworthy; `rw --debug …` prints the report |\n"
    )
    lines.append("| 130 | | | stopped by Ctrl-C |\n")
    return "".join(lines)


def notebook_rules() -> str:
    """Every rule for notebooks, as its docstring teaches it."""
    rules = catalogue.every()
    lines = [
        NOTE,
        "# Rules for notebooks\n\n",
        "`rw notebook check` looks for these. Errors and warnings end it with 5, notes do not. `[notebook]` in"
        " [the project file](project-file.md) turns rules on (`select`) and off (`ignore`), by code, by the beginning"
        " of a code (`RWN5`) or by name. In a notebook, `# rw: ignore[CODE]` on a line declines a finding there; alone"
        " at the top of a cell, those of the whole cell and its outputs; `# rw: ignore-file[CODE]` those of the"
        " notebook.\n\n",
        "| code | name | severity | says | `--fix` |\n|---|---|---|---|---|\n",
    ]
    for rule in rules:
        fixes = "yes" if "`--fix` does" in lesson(rule).fix else ""
        link = f"[{rule.code}](#{rule.code.lower()}-{rule.name})"
        lines.append(f"| {link} | {rule.name} | {SEVERITIES[rule.severity]} | {lesson(rule).title} | {fixes} |\n")
    for rule in rules:
        taught = lesson(rule)
        lines.append(f"\n## {rule.code} {rule.name}\n\n{taught.title}\n\n{taught.why}\n\n")
        lines.append(f"**Fix**: {taught.fix}\n")
    return "".join(lines)


SEVERITIES = {"error": "error", "warn": "warning", "note": "note"}


def toml(value: Any) -> str:
    """A value as the project file writes it."""
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, dict) else "{}" if not value else "see there"


def cell(text: str) -> str:
    """Text that stays in its cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    stale = []
    for path, text in pages().items():
        target = HERE / path
        if "--check" in sys.argv:
            if not target.is_file() or target.read_text("utf-8") != text:
                stale.append(path)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
    if stale:
        sys.stdout.write(f"not as the code has it: {', '.join(stale)}; run: python docs/generate.py\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
