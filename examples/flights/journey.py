"""The whole road on real data, by the commands a user types: what `make demo` runs.

From a pipeline on January to March 2013 to a certified model in production; then April to December as they came: rows
answered over HTTP, labels a day later, drift found, retrained, judged, released as a canary, promoted. Everything goes
through the `rw` beside this Python, as a process; what it leaves is in `.roadworthy/`, so that a second journey finds
everything done.
"""

import argparse
import contextlib
import datetime as dt
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
REPORT = HERE / "report.html"
CHECKPOINT = HERE / "checkpoint.txt"
REPLAY = "source:replay"
MODEL = "late-flights"
# A person in a hurry: one small tree instead of 120.
HURRIED = ("max_iter=1", "max_leaf_nodes=3")
REFUSED = 5
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
            say(f"\nThe servers stay up: `rw status` in {shown(HERE)} shows them, `rw release --down` stops them.")
        else:
            stop_servers()
    return 0


def travel() -> None:
    """The journey, command by command."""
    chapter("1. Train on what is known on 1 April 2013: flights of January to March")
    first = rw("run", at="09:00")
    chapter("2. Run again: nothing changed, so nothing runs")
    again = rw("run", at="09:05")
    trained = first + again
    if anything_released():
        chapter("3. An earlier journey was judged and released: its certificate is here, its servers are down")
        rw("certificate", "show", f"{MODEL}@1")
        if not replayed():
            rw("release", "--up")
    else:
        trained += judge_and_release()
    chapter("6. April to December, as they came: 249,537 flights over HTTP, labels a day late, monitors, retraining")
    rw("operate", "--replay", REPLAY, "--every", "28d", only=TELLING)
    chapter("7. The report, and the log of everything that changed")
    rw("report", "--out", REPORT.name)
    rw("audit", "checkpoint", "--out", CHECKPOINT.name)
    rw("audit", "verify", "--checkpoint", CHECKPOINT.name)
    summarise(trained)


def judge_and_release() -> str:
    """A good model through the gate and onto the road, and a bad one stopped; what the bad one's run printed."""
    chapter("3. The gate: rules over evidence that is measured, not told; the outcome is signed")
    rw("gate", f"{MODEL}@1", at="09:10")
    chapter("4. Release it: a model server behind a router, on this machine only")
    rw("release", f"{MODEL}@1", "--yes", at="09:20")
    ask_for_a_prediction()
    chapter("5. A deliberately bad candidate, to see the gate refuse: a single tree of three leaves")
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
    say(f"  {shown(HERE / 'train.ipynb')}, {shown(HERE / 'pipeline.py')}, {shown(HERE / 'roadworthy.toml')}")
    say(f"  in {shown(HERE)}: rw runs, rw models, rw certificate show {MODEL}@champion, rw operate status, rw audit")


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


def rw(*words: str, at: str = "", expect: int = 0, only: re.Pattern[str] | None = None) -> str:
    """Run `rw` as a user would, showing the command and what it says; what it printed.

    Args:
        at: the time of day on 1 April 2013 that the command is given; now if empty.
        expect: the exit code that it must end with.
        only: which lines of its progress to show; all when None.
    """
    say(f"\n{_bold}$ rw {' '.join(words)}{_end}" + (f"{_dim}   (on 1 April 2013, {at}){_end}" if at else ""))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if at:
        environment["ROADWORTHY_NOW"] = f"2013-04-01T{at}:00+00:00"
    with subprocess.Popen(
        [str(RW), *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        printed, table = [], False
        for line in process.stdout or ():
            printed.append(line)
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
