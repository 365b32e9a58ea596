"""Put the settings of one TOML file into another, as an editor would: `python merge_toml.py FROM INTO`.

A setting takes the place of one of the same name; what is new is added behind the table that it follows in FROM. All
else stays as it was, comments too. It prints what changes, table by table: `~` what is replaced, `+` what is added.
"""

import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

_HEADER = re.compile(r"^\[([A-Za-z0-9_.-]+)\]")


@dataclass
class Table:
    """A table as it is written: `lead` is what stands above its header, `items` key to text, comments included."""

    name: str
    lead: str = ""
    items: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        return self.lead + f"[{self.name}]\n" + "".join(self.items.values())


def merged(additions: str, target: str) -> tuple[str, list[tuple[str, str]]]:
    """The target's text with the additions in it, and (table, what changes in it).

    Args:
        additions: text of the TOML file with what to put in.
        target: text of the TOML file that it goes into.
    """
    tables = read(target)
    changes: list[tuple[str, str]] = []
    before = ""
    for addition in read(additions):
        table = next((t for t in tables if t.name == addition.name), None)
        if table is None:
            place = next((i for i, t in enumerate(tables) if t.name == before), len(tables) - 1)
            tables.insert(place + 1, addition)
            addition.lead = ""
            changes.append((addition.name, f"new: {', '.join(addition.items)}"))
        else:
            replaced = [k for k, text in addition.items.items() if table.items.get(k, text) != text]
            added = [k for k in addition.items if k not in table.items]
            table.items |= addition.items
            told = [f"{sign} {', '.join(keys)}" for sign, keys in (("~", replaced), ("+", added)) if keys]
            changes += [(addition.name, "  ".join(told))] if told else []
        before = addition.name
    text = "\n".join(table.text() for table in tables)
    tomllib.loads(text)
    return text, changes


def read(text: str) -> list[Table]:
    """The tables of a TOML file in order; no key may stand above the first."""
    tables: list[Table] = []
    above, value = "", ""
    for line in text.splitlines(keepends=True):
        header = None if value else _HEADER.match(line)
        if header is not None:
            tables.append(Table(header[1], above))
            above = ""
        elif not value and (not line.strip() or line.startswith("#")):
            above = above + line if line.strip() else above
        else:
            value += line
            if _is_whole(value):
                key = value.partition("=")[0].strip()
                tables[-1].items[key] = above + value
                above, value = "", ""
    if above:
        tables[-1].items[""] = above
    return tables


def _is_whole(value: str) -> bool:
    try:
        tomllib.loads(value)
    except tomllib.TOMLDecodeError:
        return False
    return True


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    additions, target = (Path(word) for word in sys.argv[1:])
    text, changes = merged(additions.read_text("utf-8"), target.read_text("utf-8"))
    aside = target.with_name(f".{target.name}.new")
    aside.write_text(text, "utf-8")
    aside.replace(target)
    width = max((len(name) for name, _ in changes), default=0) + 2
    for name, told in changes:
        print(f"  {f'[{name}]':<{width}}  {told}")


if __name__ == "__main__":
    main()
