"""A file or a folder that a step made: returned as a `Path`, it is kept whole and comes back as a read-only path."""

import contextlib
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

from blake3 import blake3

from roadworthy.data.formats.format import Context, Stored, Written
from roadworthy.nouns.errors import invalid
from roadworthy.store.blobs import digest_of_file

NAME = "file"
AUTOMATIC = True


def takes(value: Any) -> bool:
    return isinstance(value, Path)


def write(value: Any, path: Path, context: Context) -> Written:
    del context
    if value.is_dir():
        return Written(type="folder", content=_pack(value, path), meta={"name": value.name})
    if not value.is_file():
        raise invalid("a step returned a path where there is no file or folder", where=str(value))
    shutil.copyfile(value, path)
    return Written(type="file", meta={"name": value.name})


def read(stored: Stored, context: Context) -> Any:
    name = Path(str(stored.value.meta.get("name") or "file")).name
    place = context.unpacked / stored.value.digest
    try:
        os.utime(place)  # `rw gc` takes away what was not used for long
    except FileNotFoundError:
        _lay_out(stored, place, name)
    return place / name


def _pack(folder: Path, path: Path) -> str:
    """Write a tar of a folder with nothing in it but names, contents and the right to execute; its content's digest."""
    hasher = blake3()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for found in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).parts):
            name = found.relative_to(folder).as_posix()
            mode = found.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise invalid("a folder that a step returns holds something that is no file", where=str(found))
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755 if mode & 0o100 else 0o644
            if stat.S_ISDIR(mode):
                entry.type = tarfile.DIRTYPE
                archive.addfile(entry)
                hasher.update(f"{name}/\0".encode())
            else:
                entry.size = found.stat().st_size
                with found.open("rb") as file:
                    archive.addfile(entry, file)
                hasher.update(f"{name}\0{entry.mode:o}\0{digest_of_file(found)}\0".encode())
    return hasher.hexdigest()


def _lay_out(stored: Stored, place: Path, name: str) -> None:
    """Unpack beside the place and rename into it, so that a path that exists is whole."""
    temporary = place.with_name(f".{place.name}.{os.getpid()}.{os.urandom(4).hex()}")
    temporary.mkdir(mode=0o700, parents=True)
    try:
        if stored.value.type == "folder":
            with tarfile.open(stored.path()) as archive:
                archive.extractall(temporary / name, filter="data")
            (temporary / name).mkdir(exist_ok=True)
        else:
            shutil.copyfile(stored.path(), temporary / name)
        for found in temporary.rglob("*"):
            if found.is_file():
                found.chmod(found.stat().st_mode & 0o555)
        with contextlib.suppress(OSError):  # someone else laid it out first
            temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
