"""Outputs of one execution, put together from the kernel's messages as a notebook keeps them (nbformat 4).

In: messages of the IOPub channel. Out: a list of outputs: streams joined, displays updated in place, cleared when
asked, and cut when they grow beyond reason. Called by `kernel.py`.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from roadworthy.notebooks.execute.ran import CellError

SIZE_MAX = 64 << 20
_WRITTEN_OVER = re.compile(r"[^\n\r]*\r+(?=[^\n\r])")
CUT = "\n[rw: this cell's outputs are cut here, after 64 MiB]\n"


class Outputs:
    """Gathers them.

    Args:
        show: told of each as it comes.
    """

    def __init__(self, show: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._show = show
        self._made: list[dict[str, Any]] = []
        self._displays: dict[str, list[dict[str, Any]]] = {}
        self._clear_next = False
        self._size = 0
        self._cut = False

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Take one message."""
        if kind == "clear_output":
            if content.get("wait"):
                self._clear_next = True
            else:
                self._clear()
            return
        if kind == "update_display_data":
            self._update(content)
            return
        output = _output(kind, content)
        if output is None:
            return
        if self._clear_next:
            self._clear()
        if self._show is not None:
            self._show(output)
        if kind == "error" or self._fits(output):
            self._add(output, str((content.get("transient") or {}).get("display_id") or ""))

    def made(self) -> tuple[dict[str, Any], ...]:
        """What there is; of a line that was written over (a progress bar), what it showed last."""
        for output in self._made:
            if "\r" in output.get("text", ""):
                output["text"] = _WRITTEN_OVER.sub("", output["text"])
        return tuple(self._made)

    def error(self) -> CellError | None:
        """The error among them, if any."""
        for output in reversed(self._made):
            if output["output_type"] == "error":
                return CellError(name=output["ename"], value=output["evalue"], traceback="\n".join(output["traceback"]))
        return None

    def _add(self, output: dict[str, Any], display: str) -> None:
        before = self._made[-1] if self._made else None
        if (
            before is not None
            and output["output_type"] == before["output_type"] == "stream"
            and output["name"] == before["name"]
        ):
            before["text"] += output["text"]
            return
        self._made.append(output)
        if display:
            self._displays.setdefault(display, []).append(output)

    def _update(self, content: dict[str, Any]) -> None:
        for output in self._displays.get(str((content.get("transient") or {}).get("display_id")), ()):
            output["data"] = content.get("data", {})
            output["metadata"] = content.get("metadata", {})

    def _clear(self) -> None:
        self._clear_next = False
        self._made.clear()
        self._displays.clear()

    def _fits(self, output: dict[str, Any]) -> bool:
        if self._cut:
            return False
        text = output.get("text")
        self._size += len(text) if text is not None else len(json.dumps(output["data"]))
        if self._size <= SIZE_MAX:
            return True
        self._cut = True
        self._made.append({"output_type": "stream", "name": "stderr", "text": CUT})
        return False


def _output(kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    if kind == "stream":
        return {"output_type": "stream", "name": content["name"], "text": content["text"]}
    if kind == "error":
        return {
            "output_type": "error",
            "ename": content["ename"],
            "evalue": content["evalue"],
            "traceback": list(content["traceback"]),
        }
    if kind not in {"display_data", "execute_result"}:
        return None
    output = {"output_type": kind, "data": content["data"], "metadata": content.get("metadata", {})}
    if kind == "execute_result":
        output["execution_count"] = content["execution_count"]
    return output
