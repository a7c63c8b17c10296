"""The files that artifacts and reports name, and what a test report says."""

import fnmatch
import os
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from buildspec.spec import BuildspecError, Files


@dataclass(frozen=True)
class Report:
    """One run's test cases of a report group, by their status as CodeBuild counts them."""

    group: str
    files: tuple[Path, ...]
    counts: dict[str, int]  # SUCCEEDED, FAILED, ERROR, SKIPPED
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def collect(files: Files, source: Path) -> dict[str, Path]:
    """The matching files below `source` by their name in an archive. Links are left out."""
    base = (source / files.base).resolve()
    if not base.is_relative_to(source.resolve()):
        raise BuildspecError(f"base-directory {files.base!r} is not below the sources.")
    wanted = [_matcher(pattern) for pattern in files.patterns]
    unwanted = [_matcher(pattern) for pattern in files.excluded]
    found = {}
    for folder, names, members in os.walk(base):
        names[:] = sorted(name for name in names if not Path(folder, name).is_symlink())
        for path in sorted(Path(folder, name) for name in members):
            name = path.relative_to(base).as_posix()
            if path.is_symlink() or not any(match(name) for match in wanted):
                continue
            if not any(match(name) for match in unwanted):
                found[path.name if files.flat else name] = path
    return found


def _matcher(pattern: str) -> Callable[[str], object]:
    """`**` crosses folders, `*` does not."""
    text = pattern.removeprefix("./")
    parts = re.split(r"(\*\*/|\*\*)", text)
    made = "".join(
        {"**/": "(?:.*/)?", "**": ".*"}.get(part)
        or fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z").replace(".*", "[^/]*")
        for part in parts
        if part
    )
    return re.compile(made, re.DOTALL).fullmatch


def report(group: str, files: Files, source: Path) -> Report:
    """The group's report. BuildspecError when no file matches or one is not JUnit's format."""
    found = tuple(collect(files, source).values())
    if not found:
        raise BuildspecError(f"Report {group}: no file matches {', '.join(files.patterns)}.")
    counts, seconds = Counter[str](), 0.0
    for path in found:
        try:
            cases = list(ElementTree.parse(path).iter("testcase"))
        except ElementTree.ParseError as error:
            raise BuildspecError(f"Report {group}: {path.name} is not JUnit XML: {error}") from None
        counts.update(_status(case) for case in cases)
        seconds += sum(float(case.get("time") or 0) for case in cases)
    return Report(group, found, dict(counts), seconds)


def _status(case: ElementTree.Element) -> str:
    for tag, status in (("failure", "FAILED"), ("error", "ERROR"), ("skipped", "SKIPPED")):
        if case.find(tag) is not None:
            return status
    return "SUCCEEDED"
