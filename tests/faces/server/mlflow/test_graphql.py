"""GraphQL documents: read, bounded, refused in words; what they answer is in run_talks.py."""

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.faces.server.mlflow.graphql import document, handlers, types
from roadworthy.faces.server.mlflow.graphql.document import Refused
from roadworthy.store.store import Store
from tests.faces.server.conversation import Conversation
from tests.faces.server.mlflow import run_talks


def fields(text: str, variables: dict | None = None, name: str = "") -> list:
    return [(each.name, each.alias, each.arguments) for each in document.asked(text, variables or {}, name)[1]]


def test_variables_fragments_and_directives_are_put_in_their_places() -> None:
    text = """
    # a comment, and commas are blank
    query A($x: [Int!]! = [1, 2], $on: Boolean) @component(name: "x") {
        one: a(x: $x, s: "q\\"\\u00e9", b: {c: 1.5e3, d: null, e: [true, ENUM, $y]}) { ...F }
        b @include(if: $on) c @skip(if: $on)
    }
    fragment F on T { d ... on T { e } ... { f } }
    query B { z }
    """
    (one, c) = document.asked(text, {"y": 7}, "A")[1]
    given_b = {"c": 1500.0, "d": None, "e": [True, "ENUM", 7]}
    assert (one.name, one.alias, one.arguments) == ("a", "one", {"x": [1, 2], "s": 'q"é', "b": given_b})
    assert [each.name for each in one.fields] == ["d", "e", "f"]
    assert c.name == "c"
    assert fields(text, {"on": True}, "A")[1][0] == "b"
    assert fields(text, name="B") == [("z", "z", {})]


def test_the_same_field_twice_is_one_with_the_selections_of_both() -> None:
    ((a,)) = document.asked("{ a { b } a { b c } }", {}, "")[1]
    assert [each.name for each in a.fields] == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "operation name"),
        ("{ a } { b }", "operation name"),
        ("{ a", "Unexpected"),
        ("{ a( }", "Unexpected"),
        ("{ ...F }", "Unknown fragment"),
        ("{ ...F } fragment F on T { ...F }", "within itself"),
        ("subscription { a }", "Unexpected"),
        ("{ a(x: ) }", "Unexpected"),
        ("{ ; }", "Unexpected character"),
        ('{ a(x: "\\q") }', "Unexpected"),
        ("{" + "a{" * 11 + "b" + "}" * 12, "maximum depth"),
        ("{ a(x: " + "[" * 40 + "]" * 40 + ") }", "maximum depth"),
        ("{ a {" + " ".join(f"f{i}" for i in range(1_001)) + "} }", "total selections"),
        ("{" + " ".join(f"f{i}" for i in range(11)) + "}", "root fields"),
        ("{ a {" + " ".join(f"x{i}: f" for i in range(11)) + "} }", "aliases"),
        ("{ a }" + " " * 100_000, "100000 characters"),
        ("query A(" + "$a: Int " * 3_000 + ") { b }", "tokens"),
    ],
)
def test_what_cannot_be_read_or_asks_for_too_much_is_refused(text: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        document.asked(text, {}, "")


def test_fragments_that_multiply_are_cut_off() -> None:
    bomb = "{ ...F0 }" + "".join(f"fragment F{n} on T {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40))
    with pytest.raises(Refused, match="total selections"):
        document.asked(bomb + "fragment F40 on T { }", {}, "")


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from('{}()[]:$@!.=|&"\\ \nabonfragmentquery0123456789-,#é'), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        document.asked(text, {}, "")


def test_every_type_that_a_field_names_is_there() -> None:
    for kind in types.TYPES.values():
        assert {inner.strip("[]") for inner in kind.values()} <= types.SCALARS | types.TYPES.keys()
    assert handlers._ENDPOINTS.keys() == types.TYPES["Query"].keys() | types.TYPES["Mutation"].keys()


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("{ nothing { a } }", "Cannot query field 'nothing' on type 'Query'."),
        ("{ mlflowGetRun { run { info { secret } } } }", "Cannot query field 'secret' on type 'MlflowRunInfo'."),
        ("{ mlflowGetRun }", "must have a selection of subfields"),
        ("{ mlflowGetRun { run { info { runId { x } } } } }", "has no subfields"),
        ("mutation { mlflowGetRun { run { __typename } } }", "on type 'Mutation'"),
    ],
)
def test_fields_that_are_not_there_are_refused(store: Store, query: str, why: str) -> None:
    with Conversation(store) as conversation:
        answer = conversation.ask("POST", "/graphql", json={"query": query})
    assert answer.status == 200
    assert answer.json["data"] is None
    assert why in answer.json["errors"][0]


def test_a_body_that_is_no_question_is_refused(store: Store) -> None:
    with Conversation(store) as conversation:
        for body in (b"", b"{}", b"[]", b"x", b'{"query": 5}', b'{"query": "{ a }", "variables": 5}'):
            answer = conversation.ask("POST", "/graphql", body)
            assert answer.status in (200, 400), body
            assert msgspec.json.decode(answer.body)
        found = conversation.ask("POST", "/graphql", json={"query": run_talks.GET_RUN})
        assert found.json["data"] == {"mlflowGetRun": None}
