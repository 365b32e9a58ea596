"""What the rules find in real notebooks, and how much of it is true: `python -m tests.notebooks.tally` writes the page.

A sample of findings is drawn with a seed, no more than some for each rule, and read by a person; `wild_labels.tsv` keeps
what was judged, by place, and holds nothing of the notebooks but names of theirs. `--sample SEED` prints what to judge.
"""

import csv
import hashlib
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from roadworthy.notebooks.check import Checked, check_all
from roadworthy.notebooks.lessons import lesson
from roadworthy.notebooks.rules.catalogue import every
from roadworthy.notebooks.rules.finding import Finding
from roadworthy.notebooks.rules.subject import Surroundings
from tests.notebooks import wild

HERE = Path(__file__).parent
LABELS = HERE / "wild_labels.tsv"
PAGE = HERE.parent.parent / "docs" / "notebooks-in-the-wild.md"
SAMPLE_SIZE = 200
PER_RULE_MAX = 16
FRESH_SEED = 2711
# Of the normal distribution, for an interval of 95 %.
Z = 1.959964


class Label(NamedTuple):
    """A judgement: of which finding, whether it is true, and why in a line."""

    package: str
    notebook: str
    cell: int
    line: int
    code: str
    true: bool
    reason: str

    @property
    def place(self) -> tuple[str, str, int, int, str]:
        return self.package, self.notebook, self.cell, self.line, self.code


# Drawn, read and not true; a rule was corrected for it since, so that it is not found any more.
MENDED = (
    Label(
        "statsmodels-0.15.0", "examples/notebooks/stl_decomposition.ipynb", 9, 1, "RWN203", False,
        "work begins in cell 5, where a table is read and a column taken, not in cell 7 as it said",
    ),
)  # fmt: skip


def checked() -> list[Checked]:
    """Every real notebook, checked; of copies of one, the first."""
    seen: set[str] = set()
    paths = []
    for path in wild.notebooks():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in seen:
            seen.add(digest)
            paths.append(path)
    return list(check_all(paths, every(), Surroundings()))


def findings(notebooks: list[Checked]) -> Iterator[tuple[Checked, Finding]]:
    for each in notebooks:
        for finding in each.findings:
            yield each, finding


def place(each: Checked, finding: Finding) -> tuple[str, str, int, int, str]:
    package, _, notebook = wild.named(each.path).partition("/")
    return package, notebook, finding.cell + 1, finding.line, finding.code


def sample(notebooks: list[Checked], seed: int) -> list[tuple[Checked, Finding]]:
    """Findings drawn at random, at most `PER_RULE_MAX` for a rule, unless there are too few others.

    Chance is a digest of the seed and the finding's place: one that a changed rule takes away leaves the others drawn.
    """

    def chance(found: tuple[Checked, Finding]) -> bytes:
        return hashlib.sha256(repr((seed, *place(*found))).encode()).digest()

    drawn = sorted(findings(notebooks), key=chance)
    taken: Counter[str] = Counter()
    first, rest = [], []
    for found in drawn:
        code = found[1].code
        (first if taken[code] < PER_RULE_MAX else rest).append(found)
        taken[code] += 1
    return [*first, *rest][:SAMPLE_SIZE] if len(first) < SAMPLE_SIZE else first[:SAMPLE_SIZE]


def interval(true: int, judged: int) -> tuple[float, float]:
    """The interval of 95 % confidence for a share (Wilson's)."""
    share, pull = true / judged, Z**2 / judged
    middle = (share + pull / 2) / (1 + pull)
    half = Z * math.sqrt(share * (1 - share) / judged + pull / (4 * judged)) / (1 + pull)
    return middle - half, min(1.0, middle + half)


def labels() -> list[Label]:
    with LABELS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [Label(p, n, int(c), int(at), code, true == "true", reason) for p, n, c, at, code, true, reason in rows]


def show(notebooks: list[Checked], seed: int) -> None:
    """Print a sample for a person to judge, each finding with the lines around it."""
    for number, (each, finding) in enumerate(sample(notebooks, seed), 1):
        package, notebook, cell, line, code = place(each, finding)
        print(f"=== {number} {code} {package}/{notebook} cell {cell} line {line}: {finding.message}")
        if finding.part == "source" and each.notebook is not None:
            lines = each.notebook.cells[finding.cell].source.split("\n")
            for at in range(max(0, line - 3), min(len(lines), line + 3)):
                print(f"{'>' if at == line - 1 else ' '} {lines[at][:140]}")


def page(notebooks: list[Checked], judged: list[Label]) -> str:
    """The page of documentation."""
    by_package: dict[str, list[Checked]] = {}
    for each in notebooks:
        by_package.setdefault(wild.named(each.path).partition("/")[0], []).append(each)
    counts = Counter(finding.code for _, finding in findings(notebooks))
    where = {code: len({each.path for each, f in findings(notebooks) if f.code == code}) for code in counts}
    true = Counter(label.code for label in judged if label.true)
    all_judged = Counter(label.code for label in judged)
    mended = Counter(label.code for label in MENDED)
    drawn = sum(true.values()) - len(MENDED)
    share = drawn / len(judged)
    low, high = interval(drawn, len(judged))
    known = [code for code in counts if all_judged[code]]
    weighted = sum(counts[c] * (true[c] - mended[c]) / all_judged[c] for c in known) / sum(counts[c] for c in known)
    total = sum(counts.values())
    lines = [
        "<!-- Made by python -m tests.notebooks.tally; do not edit. -->\n\n",
        "# Notebooks in the wild\n\n",
        _opening(len(notebooks), len(by_package), total),
        "## Notebooks\n\n| package | version | licence | notebooks | without a finding | errors | warnings | notes |\n",
        "|---|---|---|---|---|---|---|---|\n",
    ]
    for archive in wild.archives():
        each = by_package.get(archive.folder.name, [])
        by_severity = Counter(f.severity for c in each for f in c.findings)
        clean = sum(not c.findings for c in each)
        lines.append(
            f"| {archive.package} | {archive.version} | {archive.licence} | {len(each)} | {clean} |"
            f" {by_severity['error']} | {by_severity['warn']} | {by_severity['note']} |\n"
        )
    lines.append(
        "\n## Findings\n\nThese notebooks are documentation and tests: tutorials that read data from the network, examples"
        " without a seed, tests that fail on purpose. Rules that need a project around them (a lock, data sets) say less"
        " here than they do there. What was judged is explained below.\n\n"
        "| rule | says | findings | in notebooks | judged | true |\n|---|---|---|---|---|---|\n"
    )
    for rule in every():
        link = f"[{rule.code}](reference/notebook-rules.md#{rule.code.lower()}-{rule.name})"
        judged_here = f"{all_judged[rule.code]} | {true[rule.code]}" if all_judged[rule.code] else "- | -"
        lines.append(
            f"| {link} {rule.name} | {lesson(rule).title} | {counts[rule.code]} | {where.get(rule.code, 0)} | {judged_here} |\n"
        )
    lines.append(
        f"\n## Precision\n\nOf {len(judged)} findings, drawn at random (seed {FRESH_SEED}, at most {PER_RULE_MAX} of a rule"
        f" so that rare rules count) and read one by one against their notebooks,"
        f" **{drawn} are true: {share:.1%}** (95 % confidence: {low:.1%} to {high:.1%}; weighted by how often"
        f" each rule speaks: {weighted:.1%}). A finding is true when what it says is so: the name is made nowhere, the second run does change"
        " the table, the generator has no seed. Whether the author would mind is another question; notes are for what"
        " many would not. The judgements are in `tests/notebooks/wild_labels.tsv`. Earlier samples of 200 (seeds 1, 2013,"
        " 27113) had two each that were not true; the rules were corrected each time. What the rules miss"
        " was not measured.\n"
    )
    if MENDED:
        lines.append(
            "\nNot true when they were drawn; the rule was then corrected, and what took their place was read:\n\n"
        )
        lines += [f"- {m.code} in {m.package}, `{Path(m.notebook).name}`, cell {m.cell}: {m.reason}\n" for m in MENDED]
    wrong = [label for label in judged if not label.true]
    if wrong:
        lines.append("\nNot true, and why:\n\n")
        lines += [f"- {w.code} in {w.package}, `{Path(w.notebook).name}`, cell {w.cell}: {w.reason}\n" for w in wrong]
    lines.append(
        "\nRules that find nothing here (secrets, personal data, leakage of several kinds) are tested on notebooks made for"
        " it, both ways: `tests/notebooks/rules/`.\n"
    )
    return "".join(lines)


def _opening(notebooks: int, packages: int, total: int) -> str:
    return (
        f"`rw notebook check` on {notebooks:,} real notebooks that ship in the source archives of {packages} packages:"
        f" {total:,} findings, and no notebook that it cannot read. None of the notebooks is kept in this repository; the"
        " tests fetch the archives by name, version and SHA-256 (`tests/notebooks/wild.toml`), and of copies of one"
        " notebook count the first.\n\n"
    )


if __name__ == "__main__":
    if "--sample" in sys.argv:  # by a seed of one's own, or by that of the page
        show(checked(), int(sys.argv[sys.argv.index("--sample") + 1]))
    else:
        PAGE.write_text(page(checked(), labels()), "utf-8")
