"""The schema of SARIF 2.1.0 as OASIS published it, fetched when a test needs it: an npm package of Microsoft's holds it.

npm finds and fetches the package, with its settings; the schema is known by its SHA-256, and kept beside the notebooks.
"""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.notebooks import wild

PACKAGE = "@microsoft/jest-sarif@1.0.0-beta.0"
MEMBER = "package/lib/schemas/sarif-2.1.0-rtm.5.json"
SHA256 = "2d99159ae54a3eea97f81781cff48780548657c35949f4b7f25e99a2ba4de4f8"
KEPT = wild.FOLDER / "sarif-2.1.0-rtm.5.json"


def can_be_had() -> bool:
    """Whether it is here, or there is an npm to fetch it."""
    return KEPT.is_file() or shutil.which("npm") is not None


def schema() -> dict[str, Any]:
    """The schema."""
    content = KEPT.read_bytes() if KEPT.is_file() else _fetched()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise ValueError(f"the schema's SHA-256 is {found}")
    if not KEPT.is_file():
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        KEPT.write_bytes(content)
    read: dict[str, Any] = json.loads(content)
    return read


def _fetched() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, timeout=120, capture_output=True)
        [packed] = Path(folder).glob("*.tgz")
        with tarfile.open(fileobj=io.BytesIO(packed.read_bytes())) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None
            return member.read()
