"""The sources as one artefact."""

import subprocess
from pathlib import Path

import pytest

from scones import source
from scones.package import archive


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name, text in {"a.py": "a", "d/b.py": "b", ".gitignore": "out/\n"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "first")
    (root / "out").mkdir()
    (root / "out" / "left.txt").write_text("ignored")
    (root / "new.txt").write_text("untracked")
    return root


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def test_untracked_and_ignored_files_stay_out_and_the_commit_goes_along(checkout: Path) -> None:
    found = source.files(checkout)
    assert set(found) == {"a.py", "d/b.py", ".gitignore", ".source-version"}
    commit = git(checkout, "rev-parse", "HEAD").strip()
    assert found[".source-version"].decode().strip() == commit
    (checkout / "a.py").write_text("changed")
    assert source.commit(checkout) == f"{commit}-dirty"


def test_an_unchanged_tree_gives_the_same_bytes_also_from_its_own_copy(
    checkout: Path, tmp_path: Path
) -> None:
    first = archive(source.files(checkout))
    source.copy(tmp_path / "copy", checkout)
    (tmp_path / "copy" / "out").mkdir()
    (tmp_path / "copy" / "out" / "built.txt").write_text("ignored there as well")
    assert archive(source.files(tmp_path / "copy")) == first
    assert source.commit(tmp_path / "copy") == source.commit(checkout)


def test_a_copy_below_a_repository_is_not_taken_for_that_repository(checkout: Path) -> None:
    kept = source.commit(checkout)
    source.copy(checkout / "out" / "copy", checkout)
    (checkout / "a.py").write_text("changed")
    assert source.commit(checkout / "out" / "copy") == kept
    assert set(source.files(checkout / "out" / "copy")) == set(source.files(checkout))


def test_codebuild_names_the_commit_of_an_archive_without_a_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEBUILD_RESOLVED_SOURCE_VERSION", "a" * 40)
    assert source.commit(tmp_path) == "a" * 40
    monkeypatch.setenv("CODEBUILD_RESOLVED_SOURCE_VERSION", "an.S3.version-id")
    assert source.commit(tmp_path) == "unknown"
