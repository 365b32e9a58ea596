"""An environment like the one a run ran in, made with uv from the recorded names and versions.

In: a run's `Environment`. Out: an interpreter that has those packages, kept by their digest for the next time. What is
installed in place or from a folder (Roadworthy itself, while it is developed) cannot be fetched: it is linked from the
environment that is here. Called by `reproduce.py`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from roadworthy.nouns.errors import Fault, unavailable
from roadworthy.nouns.run import Environment
from roadworthy.pipelines.libraries import Libraries, normal
from roadworthy.store.blobs import digest_of

UV_S_MAX = 1800
PIP_S_MAX = 30
READY = "ready"
_SELF = "roadworthy"
# What pip is told to use, uv is told too (it does not read pip's settings): option of pip to option of uv.
_OPTIONS = {"index-url": "--default-index", "extra-index-url": "--index", "find-links": "--find-links"}


def differences(before: Environment, now: Environment) -> tuple[str, ...]:
    """What is otherwise in the second environment, one line each."""
    names = sorted({*before.packages, *now.packages})
    lines = [
        f"{name} {before.packages.get(name, 'none')} -> {now.packages.get(name, 'none')}"
        for name in names
        if before.packages.get(name) != now.packages.get(name)
    ]
    for what in ("python", "platform"):
        if getattr(before, what) != getattr(now, what):
            lines.insert(0, f"{what} {getattr(before, what)} -> {getattr(now, what)}")
    return tuple(lines)


def interpreter(home: Path, environment: Environment, tell: Callable[[str], None]) -> Path:
    """The interpreter of an environment with the recorded packages; made if it is not there yet.

    Args:
        home: the store's folder.

    Raises:
        Fault: unavailable when uv is not there, or cannot get what it needs.
    """
    linked = _linked(environment.packages)
    lines = sorted(f"{name}=={version}" for name, version in environment.packages.items() if name not in linked)
    name = digest_of("\n".join([environment.python, *lines, *sorted(linked)]).encode())[:16]
    folder = home / "environments" / name
    python = folder / "bin" / "python"
    if (folder / READY).exists() and python.exists():
        tell(f"environment {name}: {len(lines)} packages, kept from before")
        (folder / READY).touch()  # `rw gc` takes away what was not used for long
        return python
    tell(f"environment {name}: installing {len(lines)} packages with uv")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    uv = _uv()
    same = environment.python == sys.version.split()[0]
    _call([*uv, "venv", "--quiet", "--python", sys.executable if same else environment.python, str(folder)])
    wanted = folder / "requirements.txt"
    wanted.write_text("\n".join(lines) + "\n", "utf-8")
    _call([*uv, "pip", "install", "--quiet", "--no-deps", "--python", str(python), *_indexes(), "-r", str(wanted)])
    _link(python, linked)
    (folder / READY).touch()
    return python


def _linked(packages: Mapping[str, str]) -> dict[str, list[Path]]:
    """Distributions that are installed in place here, with the packages or folders to link; ours among them."""
    found: dict[str, list[Path]] = {}
    libraries = Libraries()
    for name in packages:
        local = libraries.local(name)
        if local is not None:
            found[name] = [folder for folder in (local / "src", local) if folder.is_dir()][:1]
    spec = importlib.util.find_spec(_SELF)
    assert spec is not None
    assert spec.origin is not None
    return {**found, _SELF: [Path(spec.origin).parent]}


def _link(python: Path, linked: Mapping[str, list[Path]]) -> None:
    """Put what is linked on the path of the new environment: ours as a package, others by their folders."""
    site = next((python.parent.parent / "lib").glob("python*/site-packages"))
    for folder in _metadata(linked):
        (site / folder.name).symlink_to(folder)
    (site / _SELF).symlink_to(linked[_SELF][0])
    others = [str(path) for name, paths in linked.items() if name != _SELF for path in paths]
    (site / "_linked.pth").write_text("\n".join([*others, ""]), "utf-8")


def _metadata(names: Mapping[str, list[Path]]) -> list[Path]:
    """The metadata folders of distributions that are here, so that they are known by name and version there too."""
    found: dict[str, Path] = {}
    for folder in map(Path, sys.path):
        for path in folder.glob("*.dist-info") if folder.is_dir() else ():
            found.setdefault(normal(path.name.partition("-")[0]), path)
    return [found[name] for name in names if name in found]


def _uv() -> list[str]:
    beside = Path(sys.executable).parent / "uv"
    if beside.is_file():
        return [str(beside)]
    found = shutil.which("uv")
    if found:
        return [found]
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    raise unavailable(
        "rebuilding an environment needs uv", fix="pip install 'roadworthy[reproduce]', or use --same-environment"
    )


def _indexes() -> list[str]:
    """Where packages come from, as pip is set up, so that a mirror or a folder of wheels serves here too."""
    options = ["--index-strategy", "unsafe-best-match"]
    for name, value in _pip_settings():
        for place in value.split():
            options += [_OPTIONS[name], place] if name in _OPTIONS else []
    return options


def _pip_settings() -> list[tuple[str, str]]:
    if any(name.startswith("UV_") and "INDEX" in name for name in os.environ):
        return []
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=PIP_S_MAX,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        found.append((name.rpartition(".")[2], value.strip().strip("'")))
    return found


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=UV_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise _cannot("it took too long") from None
    if done.returncode:
        raise _cannot(done.stderr.strip()[-1500:])


def _cannot(said: str) -> Fault:
    return unavailable(
        f"uv cannot rebuild the environment: {said}",
        fix="see that the package index can be reached, or compare in the environment that is here: --same-environment",
    )
