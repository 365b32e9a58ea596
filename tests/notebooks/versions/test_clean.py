"""Cleaning strips what passes, and leaves every other byte as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.notebooks.versions.clean import Kept, clean, lasting
from roadworthy.nouns.errors import Fault

CELL: dict[str, Any] = {
    "cell_type": "code",
    "execution_count": 3,
    "id": "a",
    "metadata": {"tags": ["t"], "collapsed": True, "roadworthy": {"wall_s": 1.0}, "jupyter": {"outputs_hidden": True}},
    "outputs": [{"output_type": "execute_result", "execution_count": 3, "data": {"text/plain": ["1"]}, "metadata": {}}],
    "source": ["1"],
}


def notebook(**changed: Any) -> dict[str, Any]:
    info = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "version": "3.11.7"}}  # fmt: skip
    return {"cells": [{**CELL, **changed}], "metadata": info, "nbformat": 4, "nbformat_minor": 5}


def cleaned(document: dict[str, Any], **kept: bool) -> dict[str, Any]:
    return json.loads(clean(json.dumps(document).encode(), where="x", kept=Kept(**kept)))


def test_outputs_counts_and_passing_metadata_go() -> None:
    found = cleaned(notebook())
    cell = found["cells"][0]
    assert (cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {"tags": ["t"]})
    assert cell["source"] == ["1"]
    assert found["metadata"]["language_info"] == {"name": "python"}
    assert found["metadata"]["kernelspec"]["display_name"] == "Python 3 (ipykernel)"


def test_what_is_to_stay_stays() -> None:
    tagged = notebook(metadata={"tags": ["keep_output"]})
    assert cleaned(tagged)["cells"][0]["outputs"][0]["data"] == {"text/plain": ["1"]}
    assert cleaned(tagged)["cells"][0]["outputs"][0]["execution_count"] is None
    assert cleaned(notebook(), outputs=True, counts=True)["cells"][0]["outputs"][0]["execution_count"] == 3


def test_nbformat_3_is_cleaned_too() -> None:
    cell = {"cell_type": "code", "prompt_number": 2, "input": "1", "outputs": [{"output_type": "pyout"}]}
    found = cleaned({"worksheets": [{"cells": [cell]}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0})
    assert found["worksheets"][0]["cells"][0] == {**cell, "prompt_number": None, "outputs": []}


@pytest.mark.parametrize("indent", [None, 1, 2, "\t"])
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("letters", [True, False])
def test_the_layout_of_the_file_stays(indent: Any, end: str, *, letters: bool) -> None:
    document = notebook(source=["é = '\u4e2d'\n"])
    content = (json.dumps(document, indent=indent, ensure_ascii=letters) + end).encode()
    found = clean(content, where="x")
    assert found != content
    again = json.dumps(json.loads(found), indent=indent, ensure_ascii=letters) + end
    assert found == again.encode()
    assert clean(found, where="x") is found


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)))  # fmt: skip
def test_cleaning_twice_is_cleaning_once(value: Any) -> None:
    document = notebook()
    document["metadata"]["own"] = value
    document["cells"].append({"cell_type": "markdown", "metadata": {"own": value}, "source": "x"})
    once = clean(json.dumps(document, indent=1).encode(), where="x")
    assert clean(once, where="x") == once
    assert json.dumps(json.loads(once)["metadata"]["own"]) == json.dumps(value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"nbformat": 4}', b'{"cells": 3, "nbformat": 4}', b"\x89PNG\r\n", b"\xff\xfe",
                b'{"cells": [1], "nbformat": 4}', b"[" * 100_000]
)  # fmt: skip
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(Fault, match="not a notebook"):
        clean(content, where="x")


@pytest.mark.slow
def test_two_hundred_megabytes_of_outputs_are_stripped() -> None:
    large = {"output_type": "stream", "name": "stdout", "text": "x" * 1_000_000}
    content = json.dumps(notebook(outputs=[large] * 200)).encode()
    assert len(clean(content, where="x")) < 1_000


def test_a_part_of_metadata_may_pass() -> None:
    assert lasting({"jupyter": {"outputs_hidden": True, "source_hidden": True}}) == {"jupyter": {"source_hidden": True}}
