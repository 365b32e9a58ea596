"""Import names to versions: upgrades are seen, and so is local code that no version speaks of."""

from pathlib import Path

from roadworthy.pipelines.libraries import Libraries


def install(site: Path, name: str, version: str, *, top: str = "", requires: str = "", url: str = "") -> Path:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    needed = f"Requires-Dist: {requires}\n" if requires else ""
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
    (folder / "RECORD").write_text(f"{top or name}/__init__.py,,\n{folder.name}/METADATA,,\n")
    if url:
        (folder / "direct_url.json").write_text(url)
    return folder


def test_an_import_stands_for_a_distribution_and_what_it_requires(tmp_path: Path) -> None:
    install(tmp_path, "scikit-learn", "1.6", top="sklearn", requires="numpy (>=1); python_version > '3'")
    install(tmp_path, "numpy", "2.0", requires='pytest; extra == "test"')
    install(tmp_path, "pytest", "9")
    found = Libraries(path=[str(tmp_path)])
    assert found.versions(["sklearn"]) == {"scikit-learn": "1.6", "numpy": "2.0"}
    assert found.versions(["os", "roadworthy"]) == {}
    assert found.versions([], named=["sklearn.data", "scikit-learn", "nothing"]) == {
        "scikit-learn": "1.6",
        "numpy": "2.0",
    }


def test_an_upgrade_is_seen_though_metadata_is_kept(tmp_path: Path) -> None:
    site, kept = tmp_path / "site", tmp_path / "kept"
    old = install(site, "lib", "1.0")
    assert Libraries(kept, [str(site)]).versions(["lib"]) == {"lib": "1.0"}
    assert kept.exists()
    old.rename(site / "lib-1.1.dist-info")
    assert Libraries(kept, [str(site)]).versions(["lib"]) == {"lib": "1.1"}
    kept.write_bytes(b"damaged")
    assert Libraries(kept, [str(site)]).versions(["lib"]) == {"lib": "1.1"}


def test_the_first_on_the_path_is_the_one_that_counts(tmp_path: Path) -> None:
    install(tmp_path / "a", "lib", "1")
    install(tmp_path / "b", "lib", "2")
    assert Libraries(path=[str(tmp_path / "a"), str(tmp_path / "b")]).versions(["lib"]) == {"lib": "1"}


def test_code_without_a_version_counts_by_content(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("x = 1\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner.py").write_text("x = 1\n")
    before = Libraries(path=[str(tmp_path)]).versions(["own", "package", "nowhere"])
    assert before["nowhere"] == "absent"
    (tmp_path / "own.py").write_text("x = 2\n")
    (tmp_path / "package" / "inner.py").write_text("x = 2\n")
    after = Libraries(path=[str(tmp_path)]).versions(["own", "package"])
    assert before["own"] != after["own"]
    assert before["package"] != after["package"]


def test_an_editable_install_counts_by_its_code(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "lib.py").write_text("x = 1\n")
    site = tmp_path / "site"
    install(site, "lib", "1.0", url=f'{{"url": "file://{source}", "dir_info": {{"editable": true}}}}')
    before = Libraries(path=[str(site)]).versions(["lib"])
    (source / "lib.py").write_text("x = 2\n")
    assert before["lib"].startswith("1.0 ")
    assert Libraries(path=[str(site)]).versions(["lib"]) != before


def test_two_builds_of_one_version_are_told_apart_by_their_commit(tmp_path: Path) -> None:
    install(tmp_path / "a", "lib", "1.0", url='{"url": "x", "vcs_info": {"commit_id": "aaa"}}')
    install(tmp_path / "b", "lib", "1.0", url='{"url": "x", "vcs_info": {"commit_id": "bbb"}}')
    versions = [Libraries(path=[str(tmp_path / n)]).versions(["lib"])["lib"] for n in "ab"]
    assert versions == ["1.0 (aaa)", "1.0 (bbb)"]
