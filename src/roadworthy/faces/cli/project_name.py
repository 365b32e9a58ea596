"""A project's name as a user typed it: taken, or refused with one that would pass.

Called by `rw new` and `rw notebook convert`.
"""

import re
from pathlib import Path

from roadworthy.nouns.errors import invalid

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def check_name(name: str) -> None:
    """Refuse what cannot be a project's name, with one that can.

    Raises:
        Fault: invalid.
    """
    if NAME.fullmatch(name):
        return
    fixed = re.sub(r"[^a-z0-9_-]+", "-", Path(name).name.lower()).strip("-_0123456789")[:63].rstrip("-_")
    where = f" --dir {Path(name).parent}/{fixed}" if fixed and "/" in name.strip("/") else ""
    raise invalid(
        "not a project's name: a lower-case letter, then up to 62 letters, digits, - and _",
        where=name[:80],
        fix=f"such as: rw new {fixed}{where}" if fixed else "such as: rw new my-model",
    )
