"""The whole road on real data, by the commands a user types: what `make demo` runs.

From a notebook on January to March 2013 to a project, and to a certified model in production; then April to December as
they came: rows answered over HTTP, labels a day later, drift found, retrained, judged, released as a canary, promoted.
Everything goes through the `rw` beside this Python, as a process; what it leaves is in `late-flights/`, so that a
second journey finds everything done.
"""

import argparse
import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RW = Path(sys.executable).with_name("rw")
MODEL = "late-flights"
NOTEBOOK = "train.ipynb"
SETTINGS = "production.toml"
PROJECT = HERE / MODEL
# Of what the project was made, and what was made, by digest: who changed either is not overruled.
MADE = PROJECT / ".made.json"
MADE_FROM = (NOTEBOOK, "source.py", "features.py", SETTINGS)
MADE_FILES = ("pipeline.py", "roadworthy.toml", "sources.py", "source.py", "features.py")
REPORT = PROJECT / "report.html"
CHECKPOINT = PROJECT / "checkpoint.txt"
REPLAY = "source:replay"
# A person in a hurry: one small tree instead of 120.
HURRIED = ("max_iter=1", "max_leaf_nodes=3")
REFUSED = 5
# What the proof says of cells that only look: true, and long.
LOOKING = re.compile(r"^  cell \d+: left behind: (looks at it|leads to nothing|makes |sets up how things are shown)")
# Lines of the loop that tell the story; the rest is in the report and in `rw operate status`.
TELLING = re.compile(
    r"^(alert: |alert closed: |period \d{4}|comparing with|model: ran in"
    r"|\d{4}-\d\d-\d\d [\d:]+  (breached|retraining|unchanged|refused|released|advanced|promoted|rolled_back|failed))"
)

_started = time.monotonic()
_bold, _dim, _red, _end = ("\033[1m", "\033[2m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")


def main() -> int:
    options = arguments()
    os.chdir(HERE)
    try:
        travel()
    except KeyboardInterrupt:
        say("\nstopped; `make demo` goes on from here")
        return 130
    finally:
        if options.keep:
            say(f"\nThe servers stay up: `rw status` in {shown(PROJECT)} shows them, `rw release --down` stops them.")
        else:
            stop_servers()
    return 0


def travel() -> None:
    """The journey, command by command."""
    make_project()
    os.chdir(PROJECT)
    chapter("3. Train on what is known on 1 April 2013: flights of January to March")
    first = rw("run", at="09:00")
    chapter("4. Run again: nothing changed, so nothing runs")
    again = rw("run", at="09:05")
    trained = first + again
    if anything_released():
        chapter("5-7. An earlier journey was judged and released: its certificate is here, its servers are down")
        rw("certificate", "show", f"{MODEL}@1")
        if not replayed():
            rw("release", "--up")
    else:
        trained += judge_and_release()
    chapter("8. April to December, as they came: 249,537 flights over HTTP, labels a day late, monitors, retraining")
    rw("operate", "--replay", REPLAY, "--every", "28d", only=TELLING)
    chapter("9. The report, and the log of everything that changed")
    rw("report", "--out", REPORT.name)
    rw("audit", "checkpoint", "--out", CHECKPOINT.name)
    rw("audit", "verify", "--checkpoint", CHECKPOINT.name)
    summarise(trained)


def make_project() -> None:
    """A project of the notebook, and what production asks beyond it; nothing where that was done before."""
    made = json.loads(MADE.read_text("utf-8")) if MADE.exists() else {}
    if made.get("from") == digests(HERE, MADE_FROM):
        chapter(f"1-2. {MODEL}/ was made of {NOTEBOOK} by an earlier journey, and nothing has changed since")
        say(f"the proof that it does what the notebook does: {shown(PROJECT / 'proof.html')}")
        return
    if PROJECT.exists() and made.get("files") != digests(PROJECT, MADE_FILES):
        chapter(f"1. {MODEL}/ is there and was written by hand, at least in part: it is taken as it is")
        say(f"to have it made of {NOTEBOOK} again: rm -r {shown(PROJECT)}")
        if not made:
            add_settings()
        return
    chapter(f"1. From a notebook to a project: the data scientist's {NOTEBOOK}, run, rewritten as steps, and compared")
    if made:
        say("what it was made of has changed since an earlier journey: it is made again, and keeps its store")
    say("(this runs the notebook and then the pipeline: about a minute)")
    again = ["--force"] if PROJECT.exists() else []
    rw("new", MODEL, "--from-notebook", NOTEBOOK, *again, at="08:30", hide=LOOKING)
    MADE.write_text(json.dumps({"files": digests(PROJECT, MADE_FILES)}), "utf-8")
    add_settings()
    MADE.write_text(json.dumps({"from": digests(HERE, MADE_FROM), "files": digests(PROJECT, MADE_FILES)}), "utf-8")


def add_settings() -> None:
    """What the DevOps engineer writes into the project file."""
    chapter("2. What the DevOps engineer adds: a contract, slices, a canary, monitors, and flights as of now")
    say(f"\n{_bold}$ python merge_toml.py {SETTINGS} {MODEL}/roadworthy.toml{_end}")
    subprocess.run([sys.executable, "merge_toml.py", SETTINGS, f"{MODEL}/roadworthy.toml"], check=True)
    say(f"\n{_bold}$ cd {MODEL}{_end}")


def digests(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Of the files that are there."""
    there = [name for name in names if (folder / name).is_file()]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in there}


def judge_and_release() -> str:
    """A good model through the gate and onto the road, and a bad one stopped; what the bad one's run printed."""
    chapter("5. The gate: rules over evidence that is measured, not told; the outcome is signed")
    rw("gate", f"{MODEL}@1", at="09:10")
    chapter("6. Release it: a model server behind a router, on this machine only")
    rw("release", f"{MODEL}@1", "--yes", at="09:20")
    ask_for_a_prediction()
    chapter("7. A deliberately bad candidate, to see the gate refuse: a single tree of three leaves")
    overrides = [part for setting in HURRIED for part in ("--set", setting)]
    hurried = rw("run", *overrides, "--name", "hurried", at="09:30")
    version = made_version(hurried)
    rw("gate", version, at="09:40", expect=REFUSED)
    rw("release", version, "--yes", at="09:45", expect=REFUSED)
    return hurried


def ask_for_a_prediction() -> None:
    """One request, as any program would send it: the command that `rw status` suggests."""
    status = json.loads(quietly("status", "--json"))
    url = f"{status[0]['url']}/invocations"
    flight = {
        "id": "AA1-JFK-20130401T13", "tailnum": "N338AA", "scheduled": "2013-04-01T13:00:00Z", "carrier": "AA",
        "origin": "JFK", "dest": "LAX", "weekday": 0, "departs": 540, "block_minutes": 195, "distance": 2475,
        "age": 26.0, "seats": 255.0, "temp": 46.0, "dewp": 38.0, "humid": 74.0, "wind_speed": 9.2, "wind_gust": None,
        "precip": 0.0, "pressure": 1009.9, "visib": 10.0,
    }  # fmt: skip
    body = json.dumps({"dataframe_records": [flight]}).encode()
    say(f"\n{_bold}$ curl -s {url} -H 'content-type: application/json' -d '{{\"dataframe_records\": [...]}}'{_end}")
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        say(answer.read().decode().strip())


def summarise(trained: str) -> None:
    """What a person wants to read at the end."""
    models = json.loads(quietly("models", "--json"))
    state = json.loads(quietly("operate", "status", "--json"))["state"]
    certificates = json.loads(quietly("certificate", "list", "--json"))
    actions = state["actions"]
    chapter("What happened")
    say("version         registered   gate     AUC on its hold-out  one row, p99  then")
    for model in sorted(models, key=lambda m: m["version"]):
        say(line_of(model, certificates, actions))
    say("\ndrift and decay that the monitors found:")
    for line in breaches_of(actions):
        say(f"  {line}")
    ran, reused = steps_of(trained)
    say(f"\nof the {ran + reused} steps of the runs on 1 April, {ran} ran and {reused} were found done already")
    replay = state["replay"] or {"rows": 0}
    say(f"{replay['rows']:,} flights were scored over HTTP; the whole journey took {elapsed()}")
    say(f"\n{_bold}Look at{_end}")
    say(f"  {REPORT.as_uri()}")
    say(f"  {shown(HERE / NOTEBOOK)}")
    say(f"  {shown(PROJECT)}: pipeline.py, roadworthy.toml, proof.html: what was made of it")
    say(f"  in {shown(PROJECT)}: rw runs, rw models, rw certificate show {MODEL}@champion, rw operate status, rw audit")


def breaches_of(actions: list[dict[str, Any]]) -> list[str]:
    """Every breach of drift or performance, and whether it set off a retraining; one of a replaced version does not."""
    retrained = {a["at"] for a in actions if a["kind"] == "retraining"}
    breaches = [a for a in actions if a["kind"] == "breached" and not a["what"].startswith("service")]
    newest = {at: max((a["subject"] for a in breaches if a["at"] == at), key=number) for at in retrained}
    return [
        f"{day(a['at']):<12} {a['what']}{'  -> retrained' if a['subject'] == newest.get(a['at']) else ''}"
        for a in breaches
    ]


def number(model: str) -> int:
    return int(model.rpartition("@")[2])


def steps_of(printed: str) -> tuple[int, int]:
    """How many steps ran, and how many were reused, by what `rw run` said."""
    ran, reused = (len(re.findall(rf"^\w+ +{word} ", printed, re.MULTILINE)) for word in ("ran", "reused"))
    return ran, reused + sum(int(found) for found in re.findall(r"all (\d+) steps reused", printed))


def line_of(model: dict[str, Any], certificates: list[dict[str, Any]], actions: list[dict[str, Any]]) -> str:
    """One version in one line."""
    name = f"{model['name']}@{model['version']}"
    certificate = next((c for c in certificates if c["model"] == name), None)
    gate = "-" if certificate is None else "passed" if certificate["passed"] else "refused"
    measured: dict[str, float] = {}
    for outcome in (certificate or {}).get("outcomes", []):
        measured |= outcome["measured"]
    auc, p99 = measured.get("metrics.auc"), measured.get("cost.p99_ms")
    fate = [a for a in actions if a["subject"] == name and a["kind"] in ("released", "promoted", "rolled_back")]
    told = {"released": "canary since", "promoted": "live from", "rolled_back": "taken back on"}
    then = f"{told[fate[-1]['kind']]} {day(fate[-1]['at'])}" if fate else ""
    if not fate and gate == "passed":
        then = f"live from {day(model['created_at'])}"
    if "champion" in model["aliases"]:
        then += ", champion"
    numbers = f"{'-' if auc is None else f'{auc:.3f}':<21}{'-' if p99 is None else f'{p99:.1f} ms':<14}"
    return f"{name:<15} {day(model['created_at']):<12} {gate:<8} {numbers}{then}".rstrip()


# --- commands ---


def rw(
    *words: str,
    at: str = "",
    expect: int = 0,
    only: re.Pattern[str] | None = None,
    hide: re.Pattern[str] | None = None,
) -> str:
    """Run `rw` as a user would, showing the command and what it says; what it printed.

    Args:
        at: the time of day on 1 April 2013 that the command is given; now if empty.
        expect: the exit code that it must end with.
        only: which lines of its progress to show; all when None.
        hide: which lines to count instead of showing them.
    """
    say(f"\n{_bold}$ rw {' '.join(words)}{_end}" + (f"{_dim}   (on 1 April 2013, {at}){_end}" if at else ""))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if at:
        environment["ROADWORTHY_NOW"] = f"2013-04-01T{at}:00+00:00"
    with subprocess.Popen(
        [str(RW), *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        printed, table, hidden = [], False, 0
        for line in process.stdout or ():
            printed.append(line)
            if hide is not None and hide.match(line):
                hidden += 1
                continue
            if hidden:
                say(f"{_dim}  ({hidden} lines about cells that only look at something are not shown here){_end}")
                hidden = 0
            table = table or line.startswith("period  ")
            if only is None or table or only.match(line) or not printed[:-1]:
                say(line.rstrip())
    if process.returncode != expect:
        tail = "" if only is None else "".join(printed[-20:])
        say(f"{tail}{_red}rw {words[0]} ended with {process.returncode}, {expect} was expected{_end}")
        raise SystemExit(1)
    if expect:
        say(f"{_dim}(exit code {expect}: refused, as it should be){_end}")
    return "".join(printed)


def quietly(*words: str) -> str:
    """What a command prints, without showing it."""
    done = subprocess.run([str(RW), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"rw {' '.join(words)}: {done.stderr}")
    return done.stdout


def anything_released() -> bool:
    """Whether an earlier journey has come as far as a release."""
    status = json.loads(quietly("status", "--json"))
    return any(target["versions"] for target in status)


def replayed() -> bool:
    """Whether an earlier journey went through the whole year."""
    replay = json.loads(quietly("operate", "status", "--json"))["state"]["replay"]
    return bool(replay and replay["finished"])


def made_version(printed: str) -> str:
    """The version that `rw run` says it registered."""
    found = re.search(r"^model: (\S+@\d+)", printed, re.MULTILINE)
    if found is None:
        raise SystemExit("rw run registered no model")
    return found.group(1)


def stop_servers() -> None:
    with contextlib.suppress(SystemExit):
        if anything_released():
            quietly("release", "--down")
            say("\nThe servers are stopped; `make demo` with KEEP=1, or `rw release --up`, has them stay.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--keep", action="store_true", help="leave the servers up at the end")
    options = parser.parse_args()
    options.keep = options.keep or bool(os.environ.get("KEEP"))
    return options


def chapter(title: str) -> None:
    say(f"\n{_bold}=== {title}{_end}  {_dim}[{elapsed()}]{_end}")


def elapsed() -> str:
    minutes, seconds = divmod(round(time.monotonic() - _started), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def day(at: float) -> str:
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return f"{moment.day} {moment:%b %Y}"


def shown(path: Path) -> str:
    """A path from where the user stands, if it lies below."""
    here = Path(os.environ.get("PWD", "/"))
    if path == here:
        return "this folder"
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
