"""Users, roles and permissions by MLflow's words: an admin's to give, one's own to see, and a grant never wider than asked."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roadworthy.faces.server.identity import users
from roadworthy.faces.server.server import Settings
from roadworthy.store.store import Store
from tests import mlflow_client
from tests.faces.server.conversation import Answer, Conversation
from tests.faces.server.live import Live
from tests.mlflow_client import needs_mlflow

V2, V3 = "/api/2.0/mlflow", "/api/3.0/mlflow"
PASSWORD = "correct horse battery"


class Talk:
    """A server that asks who one is, with an admin `root` and somebody who may nothing, `ada`."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def ask(self, method: str, path: str, json: Any = None, *, who: str = "root", password: str = PASSWORD) -> Answer:
        known = base64.b64encode(f"{who}:{password}".encode()).decode()
        return self._conversation.ask(method, path, json=json, headers={"authorization": f"Basic {known}"})

    def code(self, method: str, path: str, json: Any = None, **more: str) -> str:
        return str(self.ask(method, path, json, **more).json["error_code"])


@pytest.fixture
def talk(any_store: Store) -> Iterator[Talk]:
    users.add(any_store, "root", {"*": "admin"}, password=PASSWORD)
    users.add(any_store, "ada", {}, password=PASSWORD)
    with Conversation(any_store, Settings(login=True)) as conversation:
        yield Talk(conversation)


def test_a_user_is_made_may_nothing_is_given_a_role_and_goes(talk: Talk) -> None:
    made = talk.ask("POST", f"{V2}/users/create", {"username": "bob", "password": PASSWORD}).json["user"]
    assert (made["username"], made["is_admin"], isinstance(made["id"], int)) == ("bob", False, True)
    again = talk.ask("POST", f"{V2}/users/create", {"username": "bob", "password": PASSWORD})
    assert (again.status, again.json["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")
    assert talk.ask("GET", f"{V2}/experiments/search?max_results=5", who="bob").status == 403
    editor = next(role for role in talk.ask("GET", f"{V3}/roles/list").json["roles"] if role["name"] == "editor")
    assigned = talk.ask("POST", f"{V3}/roles/assign", {"username": "bob", "role_id": editor["id"]}).json["assignment"]
    assert (assigned["user_id"], assigned["role_id"]) == (made["id"], editor["id"])
    assert talk.ask("POST", f"{V2}/experiments/create", {"name": "bob's"}, who="bob").status == 200
    assert talk.ask("GET", f"{V3}/roles/users/list?role_id={editor['id']}").json == {"assignments": [assigned]}
    assert talk.ask("GET", f"{V3}/users/roles/list?username=bob", who="bob").json == {"roles": [editor]}
    assert talk.ask("DELETE", f"{V3}/roles/unassign", {"username": "bob", "role_id": editor["id"]}).json == {}
    assert talk.ask("POST", f"{V2}/experiments/create", {"name": "more"}, who="bob").status == 403
    assert talk.code("DELETE", f"{V3}/roles/unassign", {"username": "bob", "role_id": 1}) == "RESOURCE_DOES_NOT_EXIST"
    assert talk.ask("DELETE", f"{V2}/users/delete", {"username": "bob"}).json == {}
    assert talk.code("GET", f"{V2}/users/get?username=bob") == "RESOURCE_DOES_NOT_EXIST"
    assert talk.ask("GET", f"{V2}/users/current", who="bob").status == 401


def test_an_admin_is_made_and_unmade(talk: Talk) -> None:
    for is_admin in (True, True, False, False):
        assert talk.ask("PATCH", f"{V2}/users/update-admin", {"username": "ada", "is_admin": is_admin}).json == {}
        assert talk.ask("GET", f"{V2}/users/get?username=ada").json["user"]["is_admin"] is is_admin
    listed = {user["username"]: user["is_admin"] for user in talk.ask("GET", f"{V2}/users/list").json["users"]}
    assert listed == {"root": True, "ada": False}
    assert talk.code("DELETE", f"{V2}/users/delete", {"username": "root"}) == "BAD_REQUEST"


def test_a_password_is_changed_by_who_knows_it_or_by_an_admin(talk: Talk) -> None:
    new = "another horse battery"
    path = f"{V2}/users/update-password"
    talk.ask("POST", f"{V3}/roles/assign", {"username": "ada", "role_id": 1})
    for wrong in ({}, {"current_password": "wrong horse battery"}):
        body = {"username": "ada", "password": new, **wrong}
        assert talk.code("PATCH", path, body, who="ada") == "INVALID_PARAMETER_VALUE"
    same = {"username": "ada", "password": PASSWORD, "current_password": PASSWORD}
    assert talk.code("PATCH", path, same, who="ada") == "INVALID_PARAMETER_VALUE"
    body = {"username": "ada", "password": new, "current_password": PASSWORD}
    assert talk.ask("PATCH", path, body, who="ada").json == {}
    assert talk.ask("GET", f"{V2}/users/current", who="ada").status == 401
    assert talk.ask("GET", f"{V2}/users/current", who="ada", password=new).json["user"]["username"] == "ada"
    assert (
        talk.code("PATCH", path, {"username": "root", "password": new}, who="ada", password=new) == "PERMISSION_DENIED"
    )
    assert talk.ask("PATCH", path, {"username": "ada", "password": PASSWORD}).json == {}
    assert talk.ask("GET", f"{V2}/users/current", who="ada").status == 200
    assert talk.code("PATCH", path, {"username": "ada", "password": "short"}) == "INVALID_PARAMETER_VALUE"


def test_what_one_may_with_an_experiment_or_model_is_ones_role_in_its_project(talk: Talk, any_store: Store) -> None:
    tags = [{"key": "roadworthy.project", "value": "flights"}]
    experiment = talk.ask("POST", f"{V2}/experiments/create", {"name": "e", "tags": tags}).json["experiment_id"]
    talk.ask("POST", f"{V2}/registered-models/create", {"name": "m", "tags": tags})

    def may(kind: str, identifier: str) -> tuple[bool, str]:
        path = f"{V3}/users/permissions/get?username=ada&resource_type={kind}&resource_id={identifier}"
        found = talk.ask("GET", path).json
        return found["allowed"], found["permission"]

    assert may("experiment", experiment) == (False, "NO_PERMISSIONS")
    for role, of_experiment, of_model in (
        ("viewer", (False, "READ"), (False, "READ")),
        ("editor", (True, "EDIT"), (True, "EDIT")),
        ("releaser", (True, "EDIT"), (True, "MANAGE")),
        ("admin", (True, "MANAGE"), (True, "MANAGE")),
    ):
        users.set_role(any_store, "ada", "flights", role)  # type: ignore[arg-type]
        assert (may("experiment", experiment), may("registered_model", "m")) == (of_experiment, of_model)
    assert may("experiment", "0") == may("experiment", "99") == may("experiment", "x") == (False, "NO_PERMISSIONS")
    assert may("registered_model", "none") == (False, "NO_PERMISSIONS")
    path = f"{V3}/users/permissions/get?username=ada&resource_type=moon&resource_id=1"
    assert talk.code("GET", path) == "INVALID_PARAMETER_VALUE"


def test_a_grant_on_one_thing_gives_nothing_wider(talk: Talk, any_store: Store) -> None:
    tags = [{"key": "roadworthy.project", "value": "flights"}]
    experiment = talk.ask("POST", f"{V2}/experiments/create", {"name": "e", "tags": tags}).json["experiment_id"]
    body = {"username": "ada", "resource_type": "experiment", "resource_id": experiment, "permission": "EDIT"}
    for path in ("grant", "revoke"):
        refused = talk.ask("POST", f"{V3}/users/permissions/{path}", body)
        assert (refused.status, refused.json["error_code"]) == (501, "NOT_IMPLEMENTED")
        assert "'flights'" in refused.json["message"]
    assert users.get(any_store, "ada").roles == {}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{V2}/users/create", {"username": "x", "password": PASSWORD}),
        ("GET", f"{V2}/users/get?username=root", None),
        ("GET", f"{V2}/users/list", None),
        ("PATCH", f"{V2}/users/update-admin", {"username": "ada", "is_admin": True}),
        ("DELETE", f"{V2}/users/delete", {"username": "root"}),
        ("POST", f"{V3}/roles/assign", {"username": "ada", "role_id": 4}),
        ("DELETE", f"{V3}/roles/unassign", {"username": "root", "role_id": 4}),
        ("GET", f"{V3}/users/roles/list?username=root", None),
        ("GET", f"{V3}/users/permissions/list?username=root", None),
        ("GET", f"{V3}/users/permissions/get?username=root&resource_type=experiment&resource_id=0", None),
        ("POST", f"{V3}/roles/create", {"workspace": "default", "name": "x"}),
    ],
)
@pytest.mark.parametrize("role", ["viewer", "releaser"])
def test_only_an_admin_asks_about_others(store: Store, role: Any, method: str, path: str, body: Any) -> None:
    users.add(store, "root", {"*": "admin"}, password=PASSWORD)
    users.add(store, "ada", {"*": role, "flights": "admin"}, password=PASSWORD)
    with Conversation(store, Settings(login=True)) as conversation:
        talk = Talk(conversation)
        assert talk.code(method, path, body, who="ada") == "PERMISSION_DENIED"
        assert talk.ask("GET", f"{V2}/users/get?username=ada", who="ada").status == 200
    assert users.get(store, "ada").roles == {"*": role, "flights": "admin"}
    assert {user.name for user in users.listing(store)} == {"root", "ada"}


@pytest.mark.parametrize("body", [{}, {"username": ""}, {"username": 3}, {"username": "a:b"}, {"username": "x" * 999}])
@pytest.mark.parametrize("method_path", ["POST create", "PATCH update-password", "PATCH update-admin", "DELETE delete"])
def test_what_makes_no_sense_is_refused(store: Store, method_path: str, body: Any) -> None:
    method, _, path = method_path.partition(" ")
    with Conversation(store) as conversation:
        answer = conversation.ask(method, f"{V2}/users/{path}", json=body)
    assert answer.status in (400, 404)
    assert answer.json["error_code"] in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")


def test_where_nobody_is_asked_nobody_is_told(store: Store) -> None:
    with Conversation(store) as conversation:
        assert conversation.ask("GET", "/ajax-api/2.0/mlflow/users/current").status == 404


CLIENT = """
import os
import mlflow.server
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

client = get_app_client("basic-auth", tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
made = client.create_user("bob", "correct horse battery")
assert (made.username, made.is_admin) == ("bob", False)
assert client.get_user("bob").id == made.id
roles = {role.name: role for role in client.list_roles("default")}
assert list(roles) == ["viewer", "editor", "releaser", "admin"], roles
assert client.get_role(roles["editor"].id).permissions[0].permission == "EDIT"
assert client.assign_role("bob", roles["editor"].id).user_id == made.id
assert [role.name for role in client.list_user_roles("bob")] == ["editor"]
assert [each.user_id for each in client.list_role_users(roles["editor"].id)] == [made.id]
assert len(client.list_role_permissions(roles["viewer"].id)) == 4
found = client.get_user_permission("bob", "experiment", "0")
assert (found.allowed, found.permission) == (True, "EDIT")
try:
    client.grant_user_permission("bob", "experiment", "0", "MANAGE")
except MlflowException as problem:
    assert "no permissions on a single experiment" in str(problem), problem
else:
    raise AssertionError("granted")
client.unassign_role("bob", roles["editor"].id)
client.update_user_admin("bob", True)
assert client.get_user("bob").is_admin
client.update_user_password("bob", "another horse battery")
client.delete_user("bob")
try:
    client.get_user("bob")
except MlflowException as problem:
    assert problem.error_code == "RESOURCE_DOES_NOT_EXIST", problem
print("all ran")
"""


@pytest.mark.slow
@needs_mlflow
def test_the_stock_client_of_accounts(tmp_path: Path) -> None:
    with Live(tmp_path) as server:
        said = mlflow_client.run(CLIENT, uri=f"http://127.0.0.1:{server.port}", folder=tmp_path)
    assert said.rstrip().endswith("all ran")
