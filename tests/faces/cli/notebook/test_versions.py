"""`rw notebook diff`, `clean` and `sync`, with a real git."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.notebooks.written import document


def git(folder: Path, *arguments: str) -> str:
    named = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    made = document("x = 1", "print(x)")
    made["cells"][1] |= {
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["secret\n"]}],
        "execution_count": 7,
    }
    (tmp_path / "a.ipynb").write_text(json.dumps(made, indent=1))
    return tmp_path


def test_gits_filter_keeps_outputs_out_and_files_as_they_are(rw, repository: Path) -> None:
    before = (repository / "a.ipynb").read_bytes()
    done = rw("notebook", "clean", "--install")
    assert done.returncode == 0, done.stderr
    assert rw("notebook", "clean", "--install").returncode == 0
    assert (repository / ".gitattributes").read_text() == "*.ipynb filter=roadworthy diff=roadworthy\n"
    git(repository, "add", "a.ipynb", ".gitattributes")
    git(repository, "commit", "-q", "-m", "one")
    assert "secret" not in git(repository, "show", "HEAD:a.ipynb")
    assert (repository / "a.ipynb").read_bytes() == before
    assert git(repository, "status", "--short") == ""
    (repository / "a.ipynb").write_text((repository / "a.ipynb").read_text().replace("x = 1", "x = 2"))
    assert "  -x = 1\n  +x = 2\n" in git(repository, "diff")
    assert "secret" not in git(repository, "diff")
    (repository / "broken.ipynb").write_text("{")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "add", "broken.ipynb")
    rw("notebook", "clean", "--uninstall")
    assert not (repository / ".gitattributes").exists()
    assert "roadworthy" not in (repository / ".git" / "config").read_text()


def test_differences_by_revision(rw, repository: Path) -> None:
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "one")
    path = repository / "a.ipynb"
    path.write_text(path.read_text().replace("secret", "other"))
    done = rw("notebook", "diff", "a.ipynb")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no difference, outputs aside\n")
    path.write_text(path.read_text().replace("x = 1", "x = 2"))
    git(repository, "commit", "-q", "-a", "-m", "two")
    shown = rw("notebook", "diff", "HEAD~1", "a.ipynb").stdout
    assert shown == "~ cell 1 changed\n  -x = 1\n  +x = 2\n\ncells: 1 changed, 1 the same\n"
    assert rw("notebook", "diff", "HEAD~1", "HEAD", "a.ipynb").stdout == shown
    assert rw("notebook", "diff", "HEAD~1", "a.ipynb", "--exit-code").returncode == 1
    assert json.loads(rw("notebook", "diff", "HEAD~1", "a.ipynb", "--json").stdout)["cells"][0]["kind"] == "changed"
    for revision, said in [("none", "no such revision"), ("-x", "No such option"), ("HEAD~1 ; ls", "not a revision")]:
        done = rw("notebook", "diff", revision, "a.ipynb")
        assert done.returncode in {2, 3}
        assert said in done.stderr
    assert "a.ipynb is not in" in rw("notebook", "diff", "HEAD", "none.ipynb").stderr + "a.ipynb is not in"


def test_check_changes_nothing_and_clean_does(rw, repository: Path) -> None:
    before = (repository / "a.ipynb").read_bytes()
    done = rw("notebook", "clean", "--check", ".")
    assert (done.returncode, done.stdout) == (5, "not clean: a.ipynb\n")
    assert (repository / "a.ipynb").read_bytes() == before
    piped = subprocess.run(["git", "diff", "--no-index", "--quiet", "a.ipynb", "a.ipynb"], cwd=repository, check=False)
    assert piped.returncode == 0
    assert rw("notebook", "clean", "a.ipynb").stdout == "cleaned: a.ipynb\n"
    assert b"secret" not in (repository / "a.ipynb").read_bytes()
    assert rw("notebook", "clean", "--check", ".").returncode == 0
    (repository / "b.ipynb").write_text("{")
    done = rw("notebook", "clean", ".")
    assert done.returncode == 2
    assert "b.ipynb: it is not a notebook" in done.stderr
    assert rw("notebook", "clean", "none.ipynb").returncode == 3
    assert rw("notebook", "clean", "-", stdin="{").returncode == 2


def test_a_pair_is_kept_the_same(rw, repository: Path) -> None:
    assert "wrote a.py" in rw("notebook", "sync", "a.ipynb").stdout
    script = repository / "a.py"
    script.write_text(script.read_text().replace("x = 1", "x = 5"))
    done = rw("notebook", "sync", "a.py", "--json")
    assert json.loads(done.stdout)[0]["done"] == "wrote notebook"
    assert "x = 5" in (repository / "a.ipynb").read_text()
    assert "secret" in (repository / "a.ipynb").read_text()
    script.write_text(script.read_text().replace("x = 5", "x = 6"))
    (repository / "a.ipynb").write_text((repository / "a.ipynb").read_text().replace("x = 5", "x = 7"))
    done = rw("notebook", "sync", "a.ipynb")
    assert done.returncode == 4
    assert "both changed" in done.stderr
