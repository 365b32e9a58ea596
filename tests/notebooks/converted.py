"""Converts real notebooks, proves each, and writes what came of it: `python -m tests.notebooks.converted`.

The notebooks are those of `wild.toml` named below: they run without a network, on data that ships with a package. What
they import beyond our own environment is installed, pinned, into an environment beside the archives; ours is linked in.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from roadworthy.nouns.version import __version__
from tests.notebooks import wild

PAGE = wild.HERE.parent.parent / "docs" / "notebooks-converted.md"
ENVIRONMENT = wild.FOLDER / "environment"
PACKAGES = (
    "statsmodels==0.15.0", "patsy==1.0.3", "imbalanced-learn==0.14.2", "sklearn-compat==0.1.6", "linearmodels==7.1",
    "formulaic==1.2.2", "interface-meta==2.0.1", "wrapt==2.5.2", "mypy-extensions==1.2.0", "pyhdfe==0.2.1",
    "arch==8.0.0", "narwhals==2.29.0",
    "seaborn==0.13.2", "emcee==3.1.6", "xarray==2026.9.0",
)  # fmt: skip
CELL_S_MAX = 120
NOTEBOOK_S_MAX = 1200

NOTEBOOKS = (
    *(
        f"statsmodels-0.15.0/examples/notebooks/{name}.ipynb"
        for name in (
            "ols", "wls", "gls", "glm", "glm_formula", "quantile_regression", "predict", "robust_models_0", "discrete_choice_overview",
            "tsa_filters", "lowess", "glm_weights", "chi2_fitting",
        )
    ),
    *(
        f"imbalanced-learn-0.14.2/doc/auto_examples/{name}.ipynb"
        for name in (
            "evaluation/plot_metrics", "pipeline/plot_pipeline_classification", "api/plot_sampling_strategy_usage",
            "combine/plot_comparison_combine", "under-sampling/plot_illustration_nearmiss",
            "under-sampling/plot_illustration_tomek_links", "datasets/plot_make_imbalance",
        )
    ),
    *(
        f"linearmodels-7.1/examples/{name}.ipynb"
        for name in ("iv_basic-examples", "panel_data-formats")
    ),
    "arch-8.0.0/examples/unitroot_examples.ipynb",
    *(f"emcee-3.1.6/docs/tutorials/{name}.ipynb" for name in ("quickstart", "moves")),
)  # fmt: skip
# Answers of this version are kept here, so that a page can be made of several sittings.
ANSWERS = wild.FOLDER / "converted"


def python() -> Path:
    """The interpreter of the environment, made when it is not there."""
    found = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / "ready.json"
    if ready.is_file() and json.loads(ready.read_text()) == list(PACKAGES):
        return found
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    venv.create(ENVIRONMENT, with_pip=True)
    install = [str(found), "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", *PACKAGES]
    subprocess.run(install, check=True)
    site = next((ENVIRONMENT / "lib").glob("python*/site-packages"))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    ready.write_text(json.dumps(list(PACKAGES)))
    return found


def convert(notebook: Path) -> dict[str, Any]:
    """Convert a copy of a notebook; what the command says, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "here" / notebook.name
        copy.parent.mkdir()
        shutil.copy(notebook, copy)
        out = str(Path(folder) / "out")
        command = [str(python()), "-m", "roadworthy", "notebook", "convert", str(copy), "--out", out, "--json"]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ROADWORTHY_")}
        done = subprocess.run(
            [*command, "--cell-timeout", str(CELL_S_MAX)], capture_output=True, text=True, check=False,
            timeout=NOTEBOOK_S_MAX, env=environment, cwd=folder,
        )  # fmt: skip
    text = done.stdout if done.stdout.strip() else done.stderr
    answer: dict[str, Any] = json.loads(text)
    return answer | {"code": done.returncode}


def outcome(answer: dict[str, Any]) -> tuple[str, str]:
    """(verdict, what there is to say of it)."""
    if "proof" not in answer:
        error = answer.get("error", answer)
        return "not converted", f"{Path(str(error.get('where', ''))).name}: {error.get('what') or error.get('message')}"
    proof = answer["proof"]
    values, steps = len(proof["compared"]), len(answer["steps"])
    said = f"{values} compared in {steps} steps"
    if proof["verdict"] == "different":
        first = proof["first"]
        evidence = "; ".join(proof["evidence"])
        said = f"`{first['what']}` {first['where'].strip()}: {first['found']}. Cause: {proof['cause']} ({evidence})"
    elif proof["verdict"] not in {"identical", "within tolerance"}:
        said = proof["reason"]
    return str(proof["verdict"]), said


def main() -> None:
    """Convert those that have no answer yet (all with `--again`, or those that are named), and write the page."""
    named = [word for word in sys.argv[1:] if not word.startswith("-")]
    ANSWERS.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    equal = 0
    for name in NOTEBOOKS:
        begun = time.monotonic()
        kept = ANSWERS / f"{name.replace('/', '+')}.json"
        if (not kept.exists() and not named) or "--again" in sys.argv or any(word in name for word in named):
            kept.write_text(json.dumps(convert(find(name))), "utf-8")
        if not kept.exists():
            continue
        verdict, said = outcome(json.loads(kept.read_text("utf-8")))
        equal += verdict in {"identical", "within tolerance"}
        print(f"{name}: {verdict} ({time.monotonic() - begun:.0f} s) {said}", flush=True)
        rows.append(f"| `{name}` | {verdict} | {_cell(said)} |")
    if not named:
        PAGE.write_text(_page(rows, equal), "utf-8")


def find(name: str) -> Path:
    package = name.partition("/")[0]
    for archive in wild.archives():
        if archive.folder.name == package:
            wild.notebooks(archive.package)
    return wild.FOLDER / name


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:600]


def _page(rows: list[str], equal: int) -> str:
    packages = ", ".join(
        package.replace("==", " ") for package in PACKAGES if not package.startswith(("wrapt", "mypy"))
    )
    return f"""<!-- Written by `python -m tests.notebooks.converted`; do not edit. -->

# Real notebooks, converted

{len(rows)} notebooks from the source archives of public packages were converted by Roadworthy {__version__}, as they are,
without a tag or an edit; each was run in a kernel and its pipeline in processes of its own, and compared
([how](explanation/proof.md)). **{equal} are equal.** None is kept here; archives are fetched when they are needed, and
named with their digest in [wild.toml](../tests/notebooks/wild.toml).

| notebook | proof | |
|---|---|---|
{chr(10).join(rows)}

Python {sys.version.split()[0]}; {packages}. Run again with `python -m tests.notebooks.converted`.
"""


if __name__ == "__main__":
    main()
