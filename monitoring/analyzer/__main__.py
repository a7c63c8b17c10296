"""`python -m monitoring.analyzer`: the analyzer, as a job's program or by hand.

As a job everything comes from the environment. By hand each variable is an option as well:
`--dataset-source data.csv --dataset-format '{"csv":{"header":true}}' --output-path out`.
The exit code is 0, with violations too, and 255 for what stopped the analysis.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from monitoring.analyzer import (
    checks,
    constraints,
    outputs,
    preprocessor,
    quality,
    readers,
    settings,
    statistics,
)
from monitoring.analyzer.profile import Profile
from monitoring.analyzer.settings import OPT_ML, VARIABLES, AnalyzerError, Settings
from monitoring.capture import CaptureError

FAILED = 255

_LOG = logging.getLogger("analyzer")


def analyze(chosen: Settings) -> str:
    """One run; returns the exit message. Raises AnalyzerError and CaptureError."""
    message = quality.analyze(chosen) if chosen.is_model_quality else data_quality(chosen)
    script = chosen.file("post_analytics_processor_script")
    if script:
        _post_process(script)
    return message


def data_quality(chosen: Settings) -> str:
    """Statistics and constraints; with a baseline, the violations too."""
    path = chosen.file("baseline_constraints")
    rules = None
    if path:
        document = settings.read_json(path, "baseline_constraints")
        rules = constraints.Rules(document, chosen.get("categorical_drift_method"))
    path = chosen.file("baseline_statistics")
    baseline = settings.read_json(path, "baseline_statistics") if path else None
    checks.is_statistics(baseline)
    if baseline and rules is None:
        raise AnalyzerError("baseline_statistics is set without baseline_constraints.")
    profile = Profile(checks.known_values(rules, baseline))
    for chunk in readers.read(chosen):
        profile.add(chunk.columns, chunk.rows)
    if not profile.rows:
        raise AnalyzerError(f"Job inputs had no data: no row in {chosen.dataset_source}.")
    _LOG.info("%d rows with %d columns.", profile.rows, len(profile.features))
    found = statistics.build(profile)
    documents = {
        outputs.STATISTICS: found,
        outputs.CONSTRAINTS: constraints.suggest(found),
    }
    findings = checks.Findings()
    if rules:
        findings = checks.compare(profile, rules, baseline)
        documents[outputs.VIOLATIONS] = {"violations": findings.violations}
        for one in findings.violations:
            _LOG.warning("%(feature_name)s: %(description)s", one)
    if chosen.publishes:
        metrics = outputs.feature_metrics(profile, findings.distances, rules)
        outputs.write_metrics(chosen, metrics)
    outputs.write_results(chosen.output_path, documents)
    return outputs.success(len(findings.violations))


def run(variables: Mapping[str, str], root: Path = OPT_ML) -> int:
    """Analyzes as the variables say; leaves the exit message; returns the exit code.

    Args: root: the folder that stands for `/opt/ml`.
    """
    try:
        message, code = analyze(settings.read(variables, root)), 0
    except (AnalyzerError, CaptureError) as error:
        message, code = str(error), FAILED
        if isinstance(error, CaptureError) and "No captured record" in message:
            message = f"Job inputs had no data: {message}"
    except Exception as error:  # a job must leave its reason, whatever it is
        _LOG.exception("The analysis failed.")
        message, code = f"{type(error).__name__}: {error}", FAILED
    print(message, file=sys.stderr)
    # By hand, without the folder of a job, the message on stderr is all.
    if root.is_dir():
        with contextlib.suppress(OSError):
            outputs.write_message(root, message)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Options go before the environment."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.analyzer",
        description="Statistics, constraints and violations of captured data or a table.",
        epilog="Each option is also an environment variable of that name, with underscores.",
    )
    parser.add_argument("--root", type=Path, default=OPT_ML, help="stands for /opt/ml")
    for name, text in VARIABLES.items():
        parser.add_argument("--" + name.replace("_", "-"), dest=name, help=text, metavar="…")
    args = vars(parser.parse_args(arguments))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    root = args.pop("root")
    try:
        variables = settings.environment(root)
    except AnalyzerError as error:
        print(error, file=sys.stderr)
        return FAILED
    # The scripts read their own settings from the process's environment.
    os.environ.update({k: v for k, v in variables.items() if k not in os.environ})
    options = {name: value for name, value in args.items() if value is not None}
    if options:
        variables = {"publish_cloudwatch_metrics": "Disabled"} | variables
    return run(variables | options, root)


def _post_process(script: Path) -> None:
    """Runs the post-analytics script after a successful analysis. Raises AnalyzerError."""
    handler = preprocessor.load(script, "postprocess_handler", "post-analytics processor")
    try:
        handler()
    except Exception as error:  # whatever the script raises fails the job
        raise AnalyzerError(
            f"Exception while invoking post-analytics script {script.name}: "
            f"{type(error).__name__}: {error}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
