"""The monitoring pipeline: one window of captured traffic against the deployed version's baseline.

    manifest of the window's capture files ─► Captured? ─► Drift (analyzer image)
                                                             └─► violations of the features
    manifests of the window's labels, and  ─► Labelled? ─► Merge (labels joined with the capture)
    of a week's capture files                              Matched? ─► Quality (analyzer image)
                                                                         └─► … of the figures

It is what `startMonitoring` starts, every hour or at once, where the account has no monitoring
schedules; both leave the same files below `monitoring/<endpoint>/`. An execution succeeds with
violations too: they are a result. No job needs the network, so none has it.
"""

from dataclasses import dataclass
from typing import Any

from sagemaker.core.processing import Processor
from sagemaker.core.workflow.conditions import ConditionGreaterThan
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterInteger, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep

from pipelines.analyzer import CAPTURED, CSV, analyzer_step
from pipelines.build import PROCESSING, framework_image, mounted, output_of, protection, written
from pipelines.code import monitoring_bundle, preprocessor_bundle, upload
from pipelines.resources import Resources
from pipelines.settings import Settings

SCRIPTS = f"{PROCESSING}/code/preprocessing"
STATISTICS = f"{PROCESSING}/baseline/stats"
CONSTRAINTS = f"{PROCESSING}/baseline/constraints"


@dataclass(frozen=True)
class Parameters:
    """What `startMonitoring` gives: where the window's records and the baseline lie."""

    features: (
        ParameterInteger  # 0 where a monitoring schedule looks at them, or nothing was captured
    )
    capture_manifest_url: ParameterString
    answered_manifest_url: ParameterString
    labels_manifest_url: ParameterString
    labels: ParameterInteger  # files with labels; with none, quality is not looked at
    start_time: ParameterString
    end_time: ParameterString
    answered_since: ParameterString
    statistics_url: ParameterString
    constraints_url: ParameterString
    quality_constraints_url: ParameterString
    output_url: ParameterString


def monitoring_pipeline(
    settings: Settings, resources: Resources, session: PipelineSession
) -> Pipeline:
    """The pipeline of an environment, its code uploaded; nothing is created or started."""
    s3 = session.boto_session.client("s3")
    bucket = resources.bucket_name
    script = upload(preprocessor_bundle(), bucket, s3)
    code = upload(monitoring_bundle("merge"), bucket, s3)
    given = Parameters(
        features=ParameterInteger("Features", 1),
        capture_manifest_url=ParameterString("CaptureManifestUrl"),
        answered_manifest_url=ParameterString("AnsweredManifestUrl"),
        labels_manifest_url=ParameterString("LabelsManifestUrl"),
        labels=ParameterInteger("Labels", 0),
        start_time=ParameterString("StartTime"),
        end_time=ParameterString("EndTime"),
        answered_since=ParameterString("AnsweredSince"),
        statistics_url=ParameterString("StatisticsUrl"),
        constraints_url=ParameterString("ConstraintsUrl"),
        quality_constraints_url=ParameterString("QualityConstraintsUrl"),
        output_url=ParameterString("OutputUrl"),
    )
    common = {
        "session": session,
        "role": resources.monitoring_role_arn,
        "options": settings.monitoring,
        "protection": protection(settings, resources),
    }
    watched = _only_if("Captured", given.features, [_drift(given, script, common)])
    counts = PropertyFile("MergeCounts", output_name="counts", path="counts.json")
    merge = _merge(given, settings, code, resources, session, counts)
    found = JsonGet(step_name=merge.name, property_file=counts, json_path="labelled")
    matched = _only_if("Matched", found, [_quality(given, merge, common)])
    labelled = _only_if("Labelled", given.labels, [merge, matched])
    return Pipeline(
        name=settings.name("monitoring"),
        parameters=list(vars(given).values()),
        steps=[watched, labelled],
        sagemaker_session=session,
        pipeline_experiment_config=None,
    )


def _only_if(name: str, count: Any, steps: list[Any]) -> ConditionStep:
    """The steps, where `count` is not 0."""
    conditions = [ConditionGreaterThan(left=count, right=0)]
    return ConditionStep(name=name, conditions=conditions, if_steps=steps, else_steps=[])


def _drift(given: Parameters, script: str, common: dict[str, Any]) -> ProcessingStep:
    return analyzer_step(
        "Drift",
        **common,
        dataset=("endpoint", given.capture_manifest_url),
        dataset_type="ManifestFile",
        dataset_format=CAPTURED,
        output=("monitoring", given.output_url),
        environment={
            "start_time": given.start_time,
            "end_time": given.end_time,
            "record_preprocessor_script": f"{SCRIPTS}/record_preprocessor.py",
            "baseline_statistics": f"{STATISTICS}/statistics.json",
            "baseline_constraints": f"{CONSTRAINTS}/constraints.json",
        },
        inputs={
            SCRIPTS: script,
            STATISTICS: given.statistics_url,
            CONSTRAINTS: given.constraints_url,
        },
    )


def _merge(
    given: Parameters,
    settings: Settings,
    code: str,
    resources: Resources,
    session: PipelineSession,
    counts: PropertyFile,
) -> ProcessingStep:
    """One row a labelled inference, as Model Monitor's own merge image would join them."""
    options = settings.monitoring
    processor = Processor(
        sagemaker_session=session,
        role=resources.monitoring_role_arn,
        image_uri=framework_image(settings, session, "training", options.instance_type),
        instance_type=options.instance_type,
        instance_count=1,
        volume_size_in_gb=options.volume_gb,
        max_runtime_in_seconds=options.max_runtime_seconds,
        entrypoint=["python3", "-m", "monitoring.merge"],
        env={"PYTHONPATH": f"{PROCESSING}/input/code"},
        **protection(settings, resources),
    )
    manifests = {"endpoint": given.answered_manifest_url, "labels": given.labels_manifest_url}
    step_args = processor.run(
        inputs=[
            mounted("code", code, f"{PROCESSING}/input/code"),
            *(
                mounted(name, uri, f"{PROCESSING}/input/{name}", "ManifestFile")
                for name, uri in manifests.items()
            ),
        ],
        outputs=[
            written(
                name,
                Join(on="/", values=[given.output_url, name]),
                f"{PROCESSING}/output/{name}",
            )
            for name in ("merged", "counts")
        ],
        arguments=["--start-time", given.answered_since, "--end-time", given.end_time],
    )
    return ProcessingStep(name="Merge", step_args=step_args, property_files=[counts])


def _quality(given: Parameters, merge: ProcessingStep, common: dict[str, Any]) -> ProcessingStep:
    return analyzer_step(
        "Quality",
        **common,
        dataset=("merged", output_of(merge, "merged")),
        dataset_format=CSV,
        output=("quality", Join(on="/", values=[given.output_url, "quality"])),
        environment={
            "analysis_type": "MODEL_QUALITY",
            "problem_type": "BinaryClassification",
            "ground_truth_attribute": "label",
            "inference_attribute": "prediction",
            "probability_attribute": "probability",
            "positive_label": "1",
            "baseline_constraints": f"{CONSTRAINTS}/constraints.json",
        },
        inputs={CONSTRAINTS: given.quality_constraints_url},
    )
