"""Conversations with a server that speaks MLflow's wire, played against any, so that two servers' answers compare.

A step may keep a value of its answer under a name, for `{name}` in later steps. What differs from server to server for
good reason (moments, ids, hosts) is replaced by what it is, numbered in the order in which it appeared.

    python -m tests.faces.server.mlflow.talk http://127.0.0.1:5000 talks > recorded.json    # plays all against a server
"""

import importlib
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

# a request with what is kept filled in: status and decoded body of the answer
Ask = Callable[["Step"], tuple[int, Any]]
_ID = re.compile(r"\b(m-[0-9a-f]{32}|tr-[0-9a-f]{32}|a-[0-9a-f]{32}|d-[0-9a-f]{32}|[0-9a-f]{32}|[0-9a-f-]{36})\b")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ARTIFACTS = re.compile(r"(?:mlflow-artifacts:|file://)[^\s\"']*?/\d+(?=/(?:models|traces|<id))")
_SET = re.compile(r"[{\[(]('[^']*'(?:, '[^']*')*)[})\]]")


class Step(NamedTuple):
    """One request; `keep` maps a name to where in the answer its value is, such as `run.info.run_id`."""

    method: str
    path: str
    body: Any = None
    keep: dict[str, str] = {}
    headers: dict[str, str] = {}


def play(ask: Ask, steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The answers to a conversation, one of each step, comparable between servers."""
    kept: dict[str, str] = {}
    seen: dict[str, str] = {}
    answers = []
    for step in steps:
        filled = {"path": step.path, "body": step.body, "headers": step.headers}
        status, said = ask(step._replace(**_filled(filled, kept)))
        for name, place in step.keep.items():
            kept[name] = _at(said, place)
        answers.append({"ask": f"{step.method} {step.path}", "status": status, "answer": _plain(said, seen)})
    return answers


def over_http(url: str) -> Ask:
    """Ask a server at a URL."""

    def ask(step: Step) -> tuple[int, Any]:
        data = None if step.body is None else json.dumps(step.body).encode()
        headers = {"Content-Type": "application/json", **step.headers}
        request = urllib.request.Request(url + step.path, data, headers, method=step.method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, decoded(answer.read())
        except urllib.error.HTTPError as refusal:
            return refusal.code, decoded(refusal.read())

    return ask


def query(path: str, **fields: Any) -> str:
    """A path with a query; a list is a field that repeats."""
    return f"{path}?{urllib.parse.urlencode(fields, doseq=True)}"


def decoded(body: bytes) -> Any:
    """A body as JSON, or as the beginning of its text."""
    try:
        return json.loads(body or b"{}")
    except ValueError:
        return body.decode("utf-8", "replace")[:200]


def _filled(value: Any, kept: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, found in kept.items():
            value = value.replace(f"{{{name}}}", found)
        return value
    if isinstance(value, dict):
        return {key: _filled(each, kept) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, kept) for each in value]
    return value


def _at(value: Any, place: str) -> str:
    for part in place.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return str(value)


def _plain(value: Any, seen: dict[str, str], key: str = "") -> Any:
    if isinstance(value, dict):
        if "error_code" in value:
            # For MLflow's own dashboards; its clients work it out when it is not there.
            value = {name: each for name, each in value.items() if name not in ("error_class", "sqlstate")}
        # An absent list is an empty one, and the order of fields is nobody's business.
        return {name: _plain(each, seen, name) for name, each in sorted(value.items())}
    if isinstance(value, list):
        if key == "experiment_ids":
            return ["<experiment>" for _ in value]
        plain = [_plain(each, seen, key) for each in value]
        return sorted(plain, key=_sorted_by) if _unordered(value) else plain
    if isinstance(value, float):
        return round(value, 9)  # engines sum in an order of their own
    if isinstance(value, str | int) and key in ("experiment_id", "experimentId"):
        return "<experiment>"
    if isinstance(value, int) and not isinstance(value, bool) and value > 10**12:
        return "<ms>"
    if isinstance(value, str) and key.endswith("page_token"):
        return "<token>"
    if isinstance(value, str) and re.fullmatch(r"\d{13}", value):
        return "<ms>"
    if isinstance(value, str) and key == "digest" and len(value) == 8:
        return "<digest>"
    if isinstance(value, str):
        value = _ID.sub(lambda match: seen.setdefault(match[0], f"<id {len(seen) + 1}>"), value)
        value = _MOMENT.sub("<moment>", value)
        value = _ARTIFACTS.sub("<artifacts>", value)
        value = re.sub(r"\bfor experiment \d+", "for experiment <experiment>", value)
        if key in ("artifact_location", "artifactLocation"):
            value = re.sub(r"/\d+$", "/<experiment>", value)
        return _SET.sub(lambda match: f"[{', '.join(sorted(match[1].split(', ')))}]", value)
    return value


def _unordered(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(each, dict) and {"key"} <= each.keys() for each in value)


def _sorted_by(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


if __name__ == "__main__":
    talks = importlib.import_module(f"tests.faces.server.mlflow.{sys.argv[2]}").ALL
    played = {name: play(over_http(sys.argv[1]), steps) for name, steps in talks.items()}
    print(json.dumps(played, indent=1, ensure_ascii=False))
