"""The phases of a build in their order, and what becomes of them.

    INSTALL → PRE_BUILD → BUILD → POST_BUILD → UPLOAD_ARTIFACTS → FINALIZING

A failed INSTALL or PRE_BUILD ends the build; POST_BUILD follows BUILD whether it failed or not, and
so does UPLOAD_ARTIFACTS. `on-failure` of a phase decides otherwise: ABORT ends the build after it,
CONTINUE goes on; the build counts as failed either way.
"""

import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buildspec import files
from buildspec.files import Report
from buildspec.shell import INTERRUPTED, Shell
from buildspec.spec import PHASES, Buildspec, BuildspecError, Phase

SUCCEEDED, FAILED, STOPPED, TIMED_OUT = "SUCCEEDED", "FAILED", "STOPPED", "TIMED_OUT"


@dataclass(frozen=True)
class PhaseResult:
    """One phase: its name, status, times, and why it failed (`code` and `message`)."""

    name: str
    status: str
    start: datetime.datetime
    end: datetime.datetime
    code: str = ""
    message: str = ""

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass
class Outcome:
    """What a build left. `artifacts` maps an identifier ('' is the primary) to its files."""

    status: str = SUCCEEDED
    phases: list[PhaseResult] = field(default_factory=list)
    exported: dict[str, str] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    artifacts: dict[str, dict[str, Path]] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The first failed phase and its message; empty when the build succeeded."""
        failed = next((phase for phase in self.phases if phase.status != SUCCEEDED), None)
        return f"{failed.name}: {failed.message}" if failed else ""


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Build:
    """One build of the sources below `source`.

    `image` is the environment that the commands start with; over it come the buildspec's own
    variables, and over those `variables`, the project's and the caller's. Without `uploads` (a
    project of NO_ARTIFACTS) the buildspec's artifacts count for nothing. `say` gets each line of
    the log, `on_phase` each phase when it begins (its name) and ends. `stop` may come from any
    thread.
    """

    def __init__(
        self,
        spec: Buildspec,
        source: Path,
        *,
        image: Mapping[str, str],
        variables: Mapping[str, str],
        seconds: float,
        uploads: bool = True,
        say: Callable[[str], None],
        on_phase: Callable[[str, PhaseResult | None], None] = lambda name, ended: None,
        now: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        self._spec, self._source, self._say = spec, source, say
        self._on_phase, self._now = on_phase, now
        self._environment = {
            **image,
            **spec.variables,
            **variables,
            "CODEBUILD_SRC_DIR": str(source),
            "CODEBUILD_BUILD_SUCCEEDING": "1",
        }
        self._seconds, self._is_stopping = seconds, False
        self._uploads = uploads
        self._deadline = float("inf")
        self._outcome = Outcome()

    def stop(self) -> None:
        """Interrupts the command that runs; no other one follows."""
        self._is_stopping = True

    def run(self) -> Outcome:
        """Runs everything. A failure is in the outcome, not raised."""
        self._deadline = time.monotonic() + self._seconds
        self._shell = Shell(self._spec.shell, self._source, self._environment, self._say)
        try:
            reached = self._phases()
            if self._outcome.status in (SUCCEEDED, FAILED):
                found = self._shell.environment()
                self._outcome.exported = {n: found.get(n, "") for n in self._spec.exported}
        finally:
            self._shell.close()
        if "build" in reached and self._outcome.status in (SUCCEEDED, FAILED):
            self._end("UPLOAD_ARTIFACTS", self._now(), *self._upload())
        return self._outcome

    def _phases(self) -> list[str]:
        """Runs the phases that follow each other; returns the names of those that began."""
        reached = []
        for name in PHASES:
            reached.append(name)
            phase = self._spec.phases.get(name)
            status = self._phase(name, phase)
            if status == SUCCEEDED:
                continue
            goes_on = phase is not None and phase.on_failure == "CONTINUE"
            follows = name == "build" and phase is not None and phase.on_failure is None
            if status in (STOPPED, TIMED_OUT) or not (goes_on or follows):
                break
        return reached

    def _phase(self, name: str, phase: Phase | None) -> str:
        title, start = name.upper(), self._now()
        self._tell(f"Entering phase {title}")
        self._on_phase(title, None)
        status, code, message = self._commands(phase) if phase else (SUCCEEDED, "", "")
        return self._end(title, start, status, code, message)

    def _end(
        self, title: str, start: datetime.datetime, status: str, code: str = "", message: str = ""
    ) -> str:
        result = PhaseResult(title, status, start, self._now(), code, message)
        self._outcome.phases.append(result)
        if self._outcome.status == SUCCEEDED or status in (STOPPED, TIMED_OUT):
            self._outcome.status = status
        self._tell(f"Phase complete: {title} State: {status}")
        self._tell(f"Phase context status code: {code} Message: {message}")
        self._on_phase(title, result)
        return status

    def _commands(self, phase: Phase) -> tuple[str, str, str]:
        """Status, code and message of a phase: of its first command that failed."""
        result = self._first_failure(phase.commands)
        if result[0] in (SUCCEEDED, FAILED):
            last = self._first_failure(phase.cleanup)
            result = (
                last if result[0] == SUCCEEDED or last[0] not in (SUCCEEDED, FAILED) else result
            )
        return result

    def _first_failure(self, commands: tuple[str, ...]) -> tuple[str, str, str]:
        for command in commands:
            self._tell(f"Running command {command.rstrip()}")
            succeeding = int(self._outcome.status == SUCCEEDED)
            self._run(f"export CODEBUILD_BUILD_SUCCEEDING={succeeding}")
            status = self._run(command)
            if self._is_stopping:
                return STOPPED, "STOPPED", "The build was stopped."
            if time.monotonic() > self._deadline:
                return TIMED_OUT, "BUILD_TIMED_OUT", f"Build timed out after {self._seconds:.0f} s."
            if status:
                message = f"Error while executing command: {command.rstrip()}."
                return (
                    FAILED,
                    "COMMAND_EXECUTION_ERROR",
                    f"{message} Reason: exit status {status}",
                )
        return SUCCEEDED, "", ""

    def _run(self, command: str) -> int:
        if self._is_stopping:
            return INTERRUPTED
        return self._shell.run(command, self._deadline, lambda: self._is_stopping)

    def _upload(self) -> tuple[str, str, str]:
        """Finds artifacts and reports; the caller takes them where they belong."""
        problem = ""
        for group, wanted in self._spec.reports.items():
            try:
                self._outcome.reports.append(files.report(group, wanted, self._source))
            except BuildspecError as error:
                self._tell(str(error))  # as on CodeBuild, a missing report fails no build
        for identifier, wanted in self._spec.artifacts.items() if self._uploads else ():
            found = files.collect(wanted, self._source)
            self._outcome.artifacts[identifier] = found
            if not found:
                problem = f"no matching artifact paths found for {', '.join(wanted.patterns)}"
        return (FAILED, "CLIENT_ERROR", problem) if problem else (SUCCEEDED, "", "")

    def _tell(self, text: str) -> None:
        self._say(f"[Container] {self._now():%Y/%m/%d %H:%M:%S.%f} {text}")
