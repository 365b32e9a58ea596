"""The page: whole, self-contained, and safe whatever the words in it are."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest

from roadworthy.faces.report import page
from roadworthy.store.log import Damage, Verification
from tests.faces.report import town

VOID = {"meta", "br", "img", "link", "input", "hr"}
HOSTILE = "</svg></title><script>alert(1)</script><img src=x onerror='alert(1)'>\"' {{7*7}} & <b>"


class Reader(HTMLParser):
    """Tags and attributes, and whether every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("road", [town.empty(), town.road(), town.road(named=HOSTILE, said=HOSTILE)])
def test_every_element_is_closed_and_every_drawing_is_xml(road: object) -> None:
    text = page.render(road)  # type: ignore[arg-type]
    read(text)
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        root = ET.fromstring(drawing)
        assert root.get("role") == "img"
        assert root.get("aria-label")


def test_words_of_users_are_only_ever_words() -> None:
    reader = read(page.render(town.road(named=HOSTILE, said=HOSTILE)))
    assert "script" not in reader.tags
    assert [value for tag, name, value in reader.attributes if tag == "img" and name == "src"] == [
        "data:image/png;base64,AAAA"
    ]
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]


def test_nothing_is_fetched_and_the_policy_says_so() -> None:
    text = page.render(town.road())
    reader = read(text)
    policy = next(v for tag, name, v in reader.attributes if tag == "meta" and name == "content" and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)
    links = [value for _, name, value in reader.attributes if name in {"href", "src", "srcset", "xlink:href", "action"}]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    # an inline style would be refused by the policy, and so not be seen
    assert not [name for _, name, _ in reader.attributes if name == "style"]


def test_every_link_within_the_page_has_its_place() -> None:
    reader = read(page.render(town.road()))
    places = {value for _, name, value in reader.attributes if name == "id"}
    assert {v[1:] for t, n, v in reader.attributes if t == "a" and n == "href"} <= places


def test_it_shows_what_was_measured_and_what_would_pass() -> None:
    text = page.render(town.road())
    assert "metrics.auc = 0.5" in text
    assert "metrics.auc &gt;= 0.66" in text
    assert "m@1" in text
    assert "+0.01" in text  # the interval's axis


def test_a_damaged_log_is_said_at_the_head_of_the_page() -> None:
    damage = (Damage(seq=3, what="event 3 was edited"),)
    road = msgspec.structs.replace(town.road(), log=Verification(size=9, root="00", checkpoints=0, damage=damage))
    text = page.render(road)
    assert "DAMAGED" in text
    assert "event 3 was edited" in text
