"""Rules about personal data: in what cells put out, and in what they say."""

import re
from collections.abc import Iterator

import msgspec

from roadworthy.data import personal
from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject

# Headings of tables under which people stand.
_HEADINGS = re.compile(
    r"<th>\s*((?:customer|client|patient|user|employee|contact|home|billing|cust|emp)?[_ ]?"
    r"(?:e-?mail(?:[_ ]?address)?|"
    r"phone(?:[_ ]?(?:number|no))?|mobile(?:[_ ]?number)?|first[_ ]?name|last[_ ]?name|full[_ ]?name|surname|ssn|"
    r"social[_ ]?security(?:[_ ]?number)?|"
    r"passport(?:[_ ]?(?:number|no))?|date[_ ]?of[_ ]?birth|birth[_ ]?date|dob|iban|"
    r"credit[_ ]?card(?:[_ ]?number)?|street[_ ]?address|home[_ ]?address|ip[_ ]?address))\s*</th>",
    re.IGNORECASE,
)


class PersonalOutput:
    """An output shows personal data.

    It is saved with the notebook, copied with every clone of the repository, and outlives the deletion of the data it
    came from.

    Fix: clear the output (`rw notebook clean`), and show counts or masked columns.
    """

    code, name = "RWN403", "personal-data-in-output"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.notebook.cells:
            told = _shown(subject, cell.index) if cell.outputs else ""
            if told:
                yield subject.of_output(
                    self, cell.index, f"the output shows {told}", fix="clear it, and show counts or masked columns"
                )


class PersonalLiteral:
    """Personal data is written in a cell.

    It stays in the history of version control, also after the person has asked for it to be deleted.

    Fix: read it from where such data is kept, or invent a value.
    """

    code, name = "RWN404", "personal-data-in-source"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.flow.cells:
            for text in cell.texts:
                value = text.value
                if len(value) < 8:
                    continue
                for found in personal.find(value):
                    made = subject.finding(
                        self,
                        cell.index,
                        text.node,
                        f"{found.kind} is written here: {found.shown}",
                        fix="read it from where such data is kept, or invent one",
                    )
                    yield msgspec.structs.replace(made, text="")
                    break


def _shown(subject: Subject, index: int) -> str:
    """The personal data that a cell puts out, in words; empty when it puts out none."""
    for media, text in subject.shown(index):
        if media == "text/html" and "<th>" in text and "<td>" in text:
            heading = _HEADINGS.search(text)
            if heading:
                return f"a column of people's data: `{heading[1]}`"
        found = next(personal.find(text), None)
        if found is not None:
            return f"{found.kind}: {found.shown}"
    return ""


RULES = (PersonalOutput(), PersonalLiteral())
