"""The native API: what it shows of each noun, to whom, and that people can be managed with it."""

from collections.abc import Iterator

import msgspec
import pytest

from roadworthy.faces.server.identity import passwords, roles, tokens
from roadworthy.faces.server.server import Settings
from roadworthy.nouns.event import Event
from roadworthy.nouns.run import Run
from roadworthy.registry import artifacts, model_names, runs
from roadworthy.store import chain, log
from roadworthy.store.store import Store
from tests.faces.server.conversation import Answer, Conversation

GOOD = "correct horse battery"


class Talk:
    """Somebody with roles, asking."""

    def __init__(self, talk: Conversation) -> None:
        self.talk = talk
        self.known: dict[str, str] = {}

    def __call__(self, who: str, method: str, url: str, json: object = None) -> Answer:
        if who not in self.known:
            made, _ = tokens.create(self.talk.server.store, who, roles.parse(who.split(",")), days=1)
            self.known[who] = made
        return self.talk.ask(method, url, json=json, headers={"authorization": f"Bearer {self.known[who]}"})


@pytest.fixture
def ask(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Talk]:
    monkeypatch.setattr(passwords, "N", 1 << 10)
    with Conversation(any_store, Settings(login=True)) as conversation:
        yield Talk(conversation)


def test_who_one_is(ask: Talk) -> None:
    assert ask("editor@p", "GET", "/api/me").json == {"name": "token:editor@p", "roles": {"p": "editor"}}
    assert ask("viewer", "GET", "/api/about").json["mlflow_wire"]


def test_runs_are_those_of_ones_projects(ask: Talk, any_store: Store) -> None:
    for number in range(5):
        runs.start(any_store, Run(id="", project="p" if number % 2 else "q", name=str(number)))
    kept = runs.start(any_store, Run(id="", project="p", name="with"))
    artifacts.keep(any_store, kept.id, "a.txt", b"1")

    def names(who: str, query: str = "") -> list[str]:
        return [run["name"] for run in ask(who, "GET", f"/api/runs{query}").json["items"]]

    assert names("viewer") == ["with", "4", "3", "2", "1", "0"]
    assert names("viewer@p") == ["with", "3", "1"]
    assert sorted(names("viewer@p,viewer@q")) == sorted(names("viewer"))
    assert names("viewer", "?project=q") == ["4", "2", "0"]
    assert ask("viewer@p", "GET", "/api/runs?project=q").status == 403
    assert ask("viewer", "GET", f"/api/runs/{kept.id[:10]}").json["artifacts"][0]["path"] == "a.txt"
    assert ask("viewer@p", "GET", f"/api/runs/{kept.id}").json["run"]["id"] == kept.id
    assert ask("viewer@p", "GET", f"/api/runs/{kept.id[:10]}").status == 404
    assert ask("viewer@q", "GET", f"/api/runs/{kept.id}").status == 404
    assert ask("viewer", "GET", "/api/runs/nothing").status == 404


def test_lists_come_in_pages(ask: Talk, any_store: Store) -> None:
    for number in range(5):
        runs.start(any_store, Run(id="", name=str(number)))
    seen, token = [], ""
    while True:
        page = ask("viewer", "GET", f"/api/runs?limit=2&page={token}").json
        seen += [run["name"] for run in page["items"]]
        token = page["next"]
        if token is None:
            break
    assert seen == ["4", "3", "2", "1", "0"]
    for wrong in ("limit=0", "limit=501", "limit=x", "page=x", "page=s9999999"):
        assert ask("viewer", "GET", f"/api/runs?{wrong}").status == 400


def test_models_that_one_may_not_see_are_not_there(ask: Talk, any_store: Store) -> None:
    model_names.create(any_store, "secret", project="p")
    seen, unseen, none = (ask(who, "GET", f"/api/models/{name}") for who, name in
                          (("viewer@p", "secret"), ("viewer@q", "secret"), ("viewer@q", "absent")))  # fmt: skip
    assert (seen.status, unseen.status, none.status) == (200, 404, 404)
    assert unseen.body.replace(b"secret", b"absent") == none.body
    assert ask("viewer@q", "GET", "/api/models/secret/1").status == 404
    assert ask("viewer@p", "GET", "/api/models/secret/1").status == 404
    assert ask("viewer@p", "GET", "/api/models/secret/x").status == 400


def test_an_event_is_proved_by_the_api_alone(ask: Talk, any_store: Store) -> None:
    for number in range(9):
        with any_store.change(Event(kind="a.b", subject=str(number))):
            pass
    found = ask("viewer", "GET", "/api/events?kind=a&limit=3").json["items"]
    assert [event["subject"] for event in found] == ["8", "7", "6"]
    proof = msgspec.convert(ask("viewer", "GET", f"/api/events/{found[0]['seq']}/proof").json, log.Proof)
    assert chain.leaf_hash(proof.record.encode()).hex() == proof.leaf
    path = [bytes.fromhex(step) for step in proof.path]
    assert chain.verify_inclusion(bytes.fromhex(proof.leaf), proof.seq, proof.size, path, bytes.fromhex(proof.root))
    assert ask("viewer", "GET", "/api/audit/verification").json["damage"] == []
    assert ask("viewer@p", "GET", "/api/events").status == 403
    for seq in ("999", "-1", "x", "٣"):
        assert ask("viewer", "GET", f"/api/events/{seq}/proof").status in (400, 404)


def test_tokens_are_made_and_revoked(ask: Talk) -> None:
    made = ask("admin", "POST", "/api/tokens", {"name": "ci", "roles": ["editor@p"], "days": 1})
    assert made.status == 201
    ask.known["new"] = made.json["secret"]
    assert ask("new", "GET", "/api/me").json["roles"] == {"p": "editor"}
    listed = ask("admin", "GET", "/api/tokens").json["items"]
    assert "ci" in [token["name"] for token in listed]
    assert made.json["secret"].encode() not in ask("admin", "GET", "/api/tokens").body
    assert ask("admin", "DELETE", f"/api/tokens/{made.json['token']['id']}").json == {"done": True}
    assert ask("new", "GET", "/api/me").status == 401
    assert ask("editor", "POST", "/api/tokens", {"name": "x", "roles": ["viewer"]}).status == 403
    assert ask("admin@p", "POST", "/api/tokens", {"name": "x", "roles": ["viewer@p"]}).status == 403


def test_a_users_life_over_the_api(ask: Talk) -> None:
    new = {"name": "ada", "password": GOOD, "roles": ["viewer"]}
    assert ask("admin", "POST", "/api/users", new).status == 201
    assert ask("admin", "POST", "/api/users", new).status == 409
    for wrong in (
        {**new, "name": "a:b"},
        {**new, "password": "short"},
        {**new, "roles": ["king"]},
        {**new, "x": 1},
        {},
        [],
        None,
    ):
        assert ask("admin", "POST", "/api/users", wrong).status == 400
    change = {"give": ["editor@p"], "take": ["viewer"], "password": "another horse battery"}
    changed = ask("admin", "PATCH", "/api/users/ada", change)
    assert changed.json["roles"] == {"p": "editor"}
    assert b"scrypt" not in changed.body
    assert ask("admin", "PATCH", "/api/users/ada", {"active": False}).json["active"] is False
    assert ask("admin", "PATCH", "/api/users/nobody", {"active": False}).status == 404
    assert [user["name"] for user in ask("admin", "GET", "/api/users").json["items"]] == ["ada"]
    assert ask("admin", "DELETE", "/api/users/ada").json == {"done": True}
    assert ask("admin", "DELETE", "/api/users/ada").status == 404
