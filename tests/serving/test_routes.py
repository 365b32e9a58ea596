import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.nouns.errors import Fault
from roadworthy.serving import routes
from roadworthy.serving.routes import POINTS, Part, Route, State, canonical, points, read_part, span_of, table

ENTITIES = [f"N{i}" for i in range(4000)]


def state(share: float, **more) -> State:
    live = Route(model="m@1", release="a", share=1.0 - share, uds="/a")
    canary = Route(model="m@2", release="b", share=share, uds="/b", state="canary")
    return State(routes=(live, canary), entity="tail", **more)


def who(layout: routes.Table) -> list[str]:
    found = points(ENTITIES, layout.salt, otherwise=0)
    return [layout.spans[span_of(layout.spans, at)].route.model for at in found]


def test_shares_are_kept() -> None:
    counts = Counter(who(table(state(0.1))))
    assert 330 < counts["m@2"] < 470


def test_whoever_met_the_canary_meets_it_again_as_it_grows() -> None:
    met: set[int] = set()
    for share in (0.01, 0.1, 0.5, 0.9, 1.0):
        now = {i for i, model in enumerate(who(table(state(share)))) if model == "m@2"}
        assert met <= now
        met = now
    assert len(met) == len(ENTITIES)


def test_another_release_asks_others_first() -> None:
    first = who(table(state(0.1, salt="b")))
    second = who(table(state(0.1, salt="c")))
    both = sum(a == b == "m@2" for a, b in zip(first, second, strict=True))
    assert both < 100


def test_draining_and_shadow_versions_get_nothing() -> None:
    live = Route(model="m@1", share=0.3, uds="/a")
    others = [Route(model="m@2", share=0.7, uds="/b", state=kind) for kind in ("draining", "shadow")]
    layout = table(State(routes=(live, *others)))
    assert [(span.route.model, span.low, span.high) for span in layout.spans] == [("m@1", 0, POINTS)]
    assert [route.model for route in layout.shadows] == ["m@2"]
    assert table(State()).spans == ()
    assert table(State(routes=(Route(model="m@1", share=0.0, uds="/a"),))).spans == ()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=6),
    st.lists(st.none() | st.integers() | st.text(max_size=3), max_size=20),
)
def test_parts_divide_every_row_once(shares, entities) -> None:
    kinds = ["live", "canary"]
    made = tuple(Route(model=f"m@{i}", share=share, uds=f"/{i}", state=kinds[i % 2]) for i, share in enumerate(shares))
    layout = table(State(routes=made))
    assert (sum(shares) == 0) == (layout.spans == ()) or sum(shares) < 1e-15
    if layout.spans:
        assert layout.spans[0].low == 0
        assert layout.spans[-1].high == POINTS
        parts = [Part("c", layout.salt.hex(), span.low, span.high, 7) for span in layout.spans]
        rows = [row for part in parts for row in read_part(part.header()).rows(entities)]
        assert sorted(rows) == list(range(len(entities)))


def test_one_name_whatever_it_came_as() -> None:
    assert canonical(7) == canonical(7.0) == canonical("7") == "7"
    assert canonical(None) is canonical("") is None
    assert canonical(True) == "true"


def test_the_state_file(tmp_path: Path) -> None:
    path = tmp_path / "serving" / "local" / "state.json"
    routes.write_state(path, state(0.1))
    assert routes.read_state(path) == state(0.1)
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]
    assert json.loads(path.read_bytes())["routes"][1]["state"] == "canary"
    for wrong in (b"", b"[]", b"{", b'{"routes": [{"model": "m"}]}', b'{"routes": [{"model":"m","uds":"/a","share":2}]}',
                  b'{"routes": [{"model":"m","uds":"/a","state":"dead"}]}', b"[" * 100_000, b" " * (2 << 20)):  # fmt: skip
        path.write_bytes(wrong)
        with pytest.raises(Fault):
            routes.read_state(path)


@pytest.mark.parametrize("header", [b"", b"x", b"{}", b'["c","zz",0,1,0]'])
def test_a_part_that_is_none(header: bytes) -> None:
    with pytest.raises(Fault):
        read_part(header)
