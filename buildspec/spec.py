"""A buildspec as data: read, checked, and refused in one sentence where it is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")

_TOP = {"version", "env", "phases", "reports", "artifacts", "cache"}
_ENV = {"shell", "variables", "exported-variables"}
_PHASE = {"commands", "finally", "on-failure", "runtime-versions"}
_FILES = {"files", "base-directory", "discard-paths"}
_REPORT = _FILES | {"file-format"}
_ARTIFACTS = _FILES | {"name", "exclude-paths", "secondary-artifacts"}


class BuildspecError(Exception):
    """The buildspec cannot be run: what is wrong and where."""


@dataclass(frozen=True)
class Phase:
    """`commands` in their order, then `cleanup` (`finally`) whatever became of them."""

    commands: tuple[str, ...]
    cleanup: tuple[str, ...] = ()
    on_failure: str | None = None  # ABORT, CONTINUE, or None for the documented transition


@dataclass(frozen=True)
class Files:
    """Files below `base` that match a pattern; paths in the result are relative to `base`."""

    patterns: tuple[str, ...]
    base: str = "."
    excluded: tuple[str, ...] = ()
    flat: bool = False  # discard-paths


@dataclass(frozen=True)
class Buildspec:
    """A whole file. `artifacts` has the primary ones under the name ''."""

    phases: Mapping[str, Phase]
    shell: str = "/bin/sh"
    variables: Mapping[str, str] = field(default_factory=dict)
    exported: tuple[str, ...] = ()
    reports: Mapping[str, Files] = field(default_factory=dict)
    artifacts: Mapping[str, Files] = field(default_factory=dict)


def read(text: str) -> Buildspec:
    """The buildspec of a YAML text. Raises BuildspecError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise BuildspecError(f"The buildspec is not YAML{line}: {error}") from None
    top = _mapping("The buildspec", document, _TOP)
    if str(top.get("version")) != "0.2":
        raise BuildspecError(f"version is {top.get('version')!r}; only 0.2 is run here.")
    env = _mapping("env", top.get("env"), _ENV)
    variables = {k: _scalar(f"env/variables/{k}", v) for k, v in _any(env, "variables").items()}
    for name in variables:
        if name.startswith("CODEBUILD_"):
            raise BuildspecError(f"env/variables/{name}: names in CODEBUILD_ are CodeBuild's own.")
    shell = {"bash": "/bin/bash", "/bin/sh": "/bin/sh"}.get(env.get("shell", "/bin/sh"))
    if shell is None:
        raise BuildspecError(f"env/shell {env['shell']!r} is not done here: bash or /bin/sh.")
    phases = _mapping("phases", top.get("phases"), set(PHASES))
    if not phases:
        raise BuildspecError("phases is missing: there is nothing to run.")
    reports, artifacts = _any(top, "reports"), top.get("artifacts")
    return Buildspec(
        phases={name: _phase(name, phases[name]) for name in PHASES if name in phases},
        shell=shell,
        variables=variables,
        exported=_texts("env/exported-variables", env.get("exported-variables")),
        reports={name: _report(name, value) for name, value in reports.items()},
        artifacts=_artifacts(artifacts) if artifacts else {},
    )


def _phase(name: str, value: Any) -> Phase:
    where = f"phases/{name}"
    given = _mapping(where, value, _PHASE)
    runtimes = _any(given, "runtime-versions")
    if runtimes.keys() - {"python"} or (runtimes and name != "install"):
        raise BuildspecError(f"{where}/runtime-versions: only python, in install, is done here.")
    action = given.get("on-failure")
    if action not in (None, "ABORT", "CONTINUE"):
        raise BuildspecError(f"{where}/on-failure {action!r} is not done here: ABORT or CONTINUE.")
    commands = _texts(f"{where}/commands", given.get("commands"))
    if not commands and not runtimes:
        raise BuildspecError(f"{where} has no commands.")
    return Phase(commands, _texts(f"{where}/finally", given.get("finally")), action)


def _report(name: str, value: Any) -> Files:
    where = f"reports/{name}"
    given = _mapping(where, value, _REPORT)
    if given.get("file-format", "JUNITXML") != "JUNITXML":
        raise BuildspecError(f"{where}/file-format {given['file-format']!r} is not read here.")
    return _files(where, given)


def _artifacts(value: Any) -> dict[str, Files]:
    given = _mapping("artifacts", value, _ARTIFACTS)
    found = {"": _files("artifacts", given)} if "files" in given else {}
    for name, more in _any(given, "secondary-artifacts").items():
        where = f"artifacts/secondary-artifacts/{name}"
        found[name] = _files(where, _mapping(where, more, _ARTIFACTS))
    return found


def _files(where: str, given: Mapping[str, Any]) -> Files:
    patterns = _texts(f"{where}/files", given.get("files"))
    if not patterns:
        raise BuildspecError(f"{where}/files is missing.")
    return Files(
        patterns=patterns,
        base=_scalar(f"{where}/base-directory", given.get("base-directory", ".")),
        excluded=_texts(f"{where}/exclude-paths", given.get("exclude-paths")),
        flat=given.get("discard-paths") in (True, "yes"),
    )


def _mapping(where: str, value: Any, known: set[str]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BuildspecError(f"{where} is not a mapping.")
    unknown = sorted(str(name) for name in value.keys() - known)
    if unknown:
        raise BuildspecError(f"{where}: {', '.join(unknown)} is not done here.")
    return value


def _any(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name) or {}
    if not isinstance(value, dict):
        raise BuildspecError(f"{name} is not a mapping.")
    return value


def _texts(where: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BuildspecError(f"{where} is not a list.")
    # `- echo a: b` is a mapping to YAML; CodeBuild refuses it as well.
    return tuple(_scalar(f"{where}/{position}", item) for position, item in enumerate(value))


def _scalar(where: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise BuildspecError(f"{where} is not a text: put it in quotation marks.")
