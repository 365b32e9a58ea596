"""Rule: outputs so large that they weigh on the repository."""

from collections.abc import Iterator
from typing import Any

from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject


class LargeOutput:
    """An output is very large.

    Every save that changes it adds its size to the repository for good, reviews cannot show it, editors become slow.
    `[notebook] output_max_kb` says from where on; it is 1,000 kB otherwise.

    Fix: clear it (`rw notebook clean`), show less of the table, or save figures as files of lower resolution.
    """

    code, name = "RWN601", "large-output"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        limit = subject.around.output_max_kb * 1000
        for cell in subject.notebook.cells:
            if not cell.outputs:
                continue
            sizes = [_size(output) for output in cell.outputs]
            if sum(sizes) > limit:
                largest = cell.outputs[sizes.index(max(sizes))]
                yield subject.of_output(
                    self,
                    cell.index,
                    f"the output takes {sum(sizes) / 1e6:,.1f} MB, most of it {_what(largest)}",
                    fix="clear it, or show less: rw notebook clean",
                )


def _size(value: Any) -> int:
    """About how many characters a value takes in the file."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, list):
        return sum(map(_size, value))
    if isinstance(value, dict):
        return sum(len(key) + 4 + _size(part) for key, part in value.items())
    return 4


def _what(output: dict[str, Any]) -> str:
    kind = output.get("output_type")
    if kind == "stream":
        return "printed text"
    if kind == "error":
        return "a traceback"
    data = output.get("data") or {}
    return max(data, key=lambda media: _size(data[media]), default="metadata")


RULES = (LargeOutput(),)
