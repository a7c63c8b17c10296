"""CodeBuild's rules: which commands run, and what the build is then."""

import threading
import time
from pathlib import Path

import pytest

from buildspec import Build, BuildspecError, Outcome, read

PATH = {"PATH": "/usr/bin:/bin"}


def run(text: str, folder: Path, **given: str) -> tuple[Outcome, list[str]]:
    """The outcome and what the commands printed."""
    lines: list[str] = []
    build = Build(
        read(f"version: 0.2\n{text}"),
        folder,
        image=PATH,
        variables=given,
        seconds=30,
        say=lines.append,
    )
    return build.run(), [line for line in lines if not line.startswith("[Container]")]


def phases(**commands: str) -> str:
    body = [f"  {name}: {{commands: [echo {name}, {text}]}}" for name, text in commands.items()]
    return "\n".join(["phases:", *body])


@pytest.mark.parametrize(
    ("failing", "printed"),
    [
        ("none", ["install", "pre_build", "build", "post_build"]),
        ("install", ["install"]),
        ("pre_build", ["install", "pre_build"]),
        ("build", ["install", "pre_build", "build", "post_build"]),
        ("post_build", ["install", "pre_build", "build", "post_build"]),
    ],
)
def test_which_phases_follow_a_failed_one(failing: str, printed: list[str], tmp_path: Path) -> None:
    names = ("install", "pre_build", "build", "post_build")
    text = phases(**{name: "'false'" if name == failing else "'true'" for name in names})
    outcome, lines = run(text, tmp_path)
    assert lines == printed
    failed = [phase.name for phase in outcome.phases if phase.status == "FAILED"]
    assert failed == ([] if failing == "none" else [failing.upper()])
    assert outcome.status == ("SUCCEEDED" if failing == "none" else "FAILED")
    uploaded = outcome.phases[-1].name == "UPLOAD_ARTIFACTS"
    assert uploaded == (failing not in ("install", "pre_build"))


@pytest.mark.parametrize(
    ("phase", "action", "printed"),
    [
        ("install", "CONTINUE", ["install", "build", "post_build"]),
        ("build", "ABORT", ["build"]),
        ("build", "CONTINUE", ["build", "post_build"]),
    ],
)
def test_on_failure_decides_about_the_next_phase(
    phase: str, action: str, printed: list[str], tmp_path: Path
) -> None:
    names = dict.fromkeys(printed, "'true'") | {phase: "'false'"}
    if phase == "build":
        names["post_build"] = "'true'"
    text = phases(**names).replace(f"{phase}: {{", f"{phase}: {{on-failure: {action}, ", 1)
    outcome, lines = run(text, tmp_path)
    assert lines == printed
    assert outcome.status == "FAILED"


def test_finally_runs_after_a_failure_and_can_fail_the_phase_itself(tmp_path: Path) -> None:
    text = "phases: {build: {commands: ['false', echo never], finally: [echo cleaned]}}"
    outcome, lines = run(text, tmp_path)
    assert lines == ["cleaned"]
    assert outcome.reason.endswith("command: false. Reason: exit status 1")
    outcome, _ = run("phases: {build: {commands: ['true'], finally: [exit 4]}}", tmp_path)
    assert outcome.reason.endswith("exit 4. Reason: exit status 4")


def test_cd_exports_and_functions_last_from_command_to_command_and_phase_to_phase(
    tmp_path: Path,
) -> None:
    (tmp_path / "below").mkdir()
    text = """
phases:
  install: {commands: [cd below, export A=1, "say() { echo said $1; }"]}
  build: {commands: ['say "$A" && basename "$PWD"']}
"""
    assert run(text, tmp_path)[1] == ["said 1", "below"]


def test_a_command_that_ends_the_shell_fails_and_the_next_one_finds_its_state(
    tmp_path: Path,
) -> None:
    text = """
phases:
  build: {commands: [export A=kept; exit 7], finally: [echo $A $CODEBUILD_BUILD_SUCCEEDING]}
  post_build: {commands: [echo $A $CODEBUILD_BUILD_SUCCEEDING]}
"""
    outcome, lines = run(text, tmp_path)
    assert "exit status 7" in outcome.reason
    # The phase has not ended when its `finally` runs.
    assert lines == ["kept 1", "kept 0"]


def test_the_callers_variables_win_over_the_buildspecs_and_those_over_the_images(
    tmp_path: Path,
) -> None:
    text = """
env: {variables: {A: spec, B: spec, PATH: /bin}, exported-variables: [A, B, C, NONE]}
phases: {build: {commands: [export C="$A $B"]}}
"""
    outcome, _ = run(text, tmp_path, A="caller")
    assert outcome.exported == {"A": "caller", "B": "spec", "C": "caller spec", "NONE": ""}


def test_reports_are_counted_and_a_red_build_still_has_them(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "junit.xml").write_text(
        '<testsuites><testsuite><testcase time="0.5"/><testcase time="1"><failure/></testcase>'
        "<testcase><skipped/></testcase></testsuite></testsuites>"
    )
    text = """
phases: {build: {commands: ['false']}}
reports: {unit: {files: ['*.xml'], base-directory: r}}
"""
    outcome, _ = run(text, tmp_path)
    (report,) = outcome.reports
    assert report.counts == {"SUCCEEDED": 1, "FAILED": 1, "SKIPPED": 1}
    assert report.seconds == 1.5


def test_artifacts_are_what_their_patterns_name(tmp_path: Path) -> None:
    for name in ("a.txt", "d/b.txt", "d/e/c.txt", "d/secret"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to("/etc/passwd")
    text = """
phases: {build: {commands: ['true']}}
artifacts:
  files: ['**/*']
  exclude-paths: [d/secret]
  secondary-artifacts:
    flat: {files: ['**/*.txt'], base-directory: d, discard-paths: yes}
    one: {files: ['*.txt']}
    none: {files: [nothing]}
"""
    outcome, _ = run(text, tmp_path)
    assert set(outcome.artifacts[""]) == {"a.txt", "d/b.txt", "d/e/c.txt"}
    assert set(outcome.artifacts["flat"]) == {"b.txt", "c.txt"}
    assert set(outcome.artifacts["one"]) == {"a.txt"}
    assert outcome.reason == "UPLOAD_ARTIFACTS: no matching artifact paths found for nothing"


def test_a_stop_ends_the_command_and_all_that_it_started(tmp_path: Path) -> None:
    spec = read("version: 0.2\nphases: {build: {commands: ['sleep 60 & echo $! > pid; wait']}}")
    build = Build(spec, tmp_path, image=PATH, variables={}, seconds=60, say=lambda line: None)
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(build.run()))
    thread.start()
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    build.stop()
    thread.join(30)
    assert outcomes[0].status == "STOPPED"
    child = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_build_that_lasts_too_long_is_timed_out(tmp_path: Path) -> None:
    spec = read(
        "version: 0.2\nphases: {build: {commands: [sleep 60]}, post_build: {commands: [x]}}"
    )
    build = Build(spec, tmp_path, image=PATH, variables={}, seconds=0.2, say=lambda line: None)
    outcome = build.run()
    assert outcome.status == "TIMED_OUT"
    assert [phase.name for phase in outcome.phases][-1] == "BUILD"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version: 0.1\nphases: {build: {commands: [a]}}", "only 0.2"),
        ("version: 0.2", "nothing to run"),
        ("version: 0.2\nphases: {deploy: {commands: [a]}}", "phases: deploy"),
        ("version: 0.2\nphases: {build: {}}", "phases/build has no commands"),
        ("version: 0.2\nphases: {build: {commands: [a], on-failure: RETRY-3}}", "RETRY-3"),
        ("version: 0.2\nphases: {build: {commands: ['echo a: b', {echo a: b}]}}", "commands/1"),
        ("version: 0.2\nenv: {parameter-store: {A: b}}\nphases: {}", "parameter-store"),
        ("version: 0.2\nenv: {secrets-manager: {A: b}}\nphases: {}", "secrets-manager"),
        ("version: 0.2\nenv: {variables: {CODEBUILD_X: b}}\nphases: {}", "CODEBUILD_X"),
        ("version: 0.2\nbatch: {}\nphases: {build: {commands: [a]}}", "batch is not done here"),
        ("version: 0.2\nphases: {build: {run-as: root, commands: [a]}}", "run-as"),
        ("a: [", "line"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(BuildspecError) as refused:
        read(text)
    assert words in str(refused.value)
