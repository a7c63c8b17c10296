"""`pipelines.code`: a bundle changes when, and only when, what its step runs changes."""

import ast
import shutil
import sys
from pathlib import Path

import pytest

from pipelines.code import PROGRAMS, STEPS_FOLDER, Bundle, bundle, step_bundle


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STEPS_FOLDER, tmp_path / "steps"))


def test_a_change_of_one_steps_program_changes_that_bundle_and_no_other(steps: Path) -> None:
    before = {step: step_bundle(step, steps).sha256 for step in PROGRAMS}
    with (steps / "evaluate.py").open("a") as program:
        program.write("# changed\n")
    after = {step: step_bundle(step, steps).sha256 for step in PROGRAMS}
    assert {step for step in PROGRAMS if before[step] != after[step]} == {"evaluate"}


def test_a_change_of_a_shared_module_changes_every_bundle_that_imports_it(steps: Path) -> None:
    before = {step: step_bundle(step, steps).sha256 for step in PROGRAMS}
    with (steps / "job.py").open("a") as module:
        module.write("# changed\n")
    assert all(before[step] != step_bundle(step, steps).sha256 for step in PROGRAMS)


def test_a_bundles_hash_covers_names_and_contents() -> None:
    hashes = {
        bundle({"a": b"1", "b": b"2"}).sha256,
        bundle({"a": b"12", "b": b""}).sha256,
        bundle({"ab": b"12"}).sha256,
        bundle({"b": b"1", "a": b"2"}).sha256,
    }
    assert len(hashes) == 4
    assert bundle({"b": b"2", "a": b"1"}).sha256 == bundle({"a": b"1", "b": b"2"}).sha256


@pytest.mark.parametrize("step", PROGRAMS)
def test_a_bundle_needs_nothing_but_itself_and_its_image(step: str) -> None:
    in_image = {"numpy", "PIL", "torch", *sys.stdlib_module_names}
    code = step_bundle(step)
    for name, content in code.files.items():
        for module in _imports(content):
            package = module.split(".")[0]
            assert package in in_image or _holds(code, module), f"{name} imports {module}"


def _imports(content: bytes) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return found


def _holds(code: Bundle, module: str) -> bool:
    path = module.replace(".", "/")
    return f"{path}.py" in code.files or f"{path}/__init__.py" in code.files
