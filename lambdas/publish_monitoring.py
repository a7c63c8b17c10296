"""publishMonitoring: what an analysis found → metrics in CloudWatch, on which alarms look.

S3 says when an analysis has written its files, whichever backend ran it; so both backends end in
the same metrics, all with the dimension `EndpointName`:

    records                       how many were analysed
    violations                    of all checks of the features
    feature_baseline_drift_<name> the Robust distance from the baseline, 0 to 1
    quality_violations            of the model quality's constraints, and
    accuracy, recall, auc, …      its figures, where there were labels

They carry the time of publication: CloudWatch drops old points without a word. An event that comes
twice publishes the same figures again, which changes no maximum.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html;
Deequ, analyzers/Distance.scala, for the distance.
"""

import json
import math
import os
from itertools import accumulate
from typing import Any

from botocore.exceptions import ClientError

from lambdas import baseline, log
from lambdas.clients import client
from lambdas.log import Json

STATISTICS, VIOLATIONS = "statistics.json", "constraint_violations.json"
BATCH = 500  # metrics; PutMetricData takes 1,000
ROBUST_FACTOR = 1.8  # what chance may make of two samples, in units of its deviation


def metrics(statistics: Json, violations: list[Json], against: Json | None) -> dict[str, float]:
    """The figures by their names; `against` is the baseline's statistics, if it is known."""
    found: dict[str, float] = {"records": float(statistics["dataset"]["item_count"])}
    quality = statistics.get("binary_classification_metrics")
    if quality is None:
        known = {f["name"]: f for f in (against or {}).get("features", [])}
        for feature in statistics["features"]:
            distance = drift(feature, known.get(feature["name"]))
            if distance is not None:
                found[f"feature_baseline_drift_{feature['name']}"] = distance
        return {**found, "violations": float(len(violations))}
    figures = {n: f["value"] for n, f in quality.items() if isinstance(f, dict) and "value" in f}
    sound = {n: v for n, v in figures.items() if isinstance(v, int | float) and math.isfinite(v)}
    return {**found, **sound, "quality_violations": float(len(violations))}


def drift(feature: Json, reference: Json | None) -> float | None:
    """The distance of a feature from its baseline; None where the two cannot be compared."""
    one, other = _distribution(feature), _distribution(reference or {})
    if not one or not other or one[0] != other[0]:
        return None
    (kind, counts), (_, expected) = one, other
    n, m = sum(counts.values()), sum(expected.values())
    points = sorted({*counts, *expected})
    shares = [counts.get(point, 0) / n for point in points]
    references = [expected.get(point, 0) / m for point in points]
    if kind == "numbers":
        shares, references = list(accumulate(shares)), list(accumulate(references))
    gap = max(abs(a - b) for a, b in zip(shares, references, strict=True))
    return max(0.0, gap - ROBUST_FACTOR * math.sqrt((n + m) / (n * m)))


def _distribution(feature: Json) -> tuple[str, dict[Any, float]] | None:
    """`numbers` or `categories`, and how often each occurs."""
    counts: dict[Any, float] = {}
    if "numerical_statistics" in feature:
        kll = (feature["numerical_statistics"].get("distribution") or {}).get("kll") or {}
        for level, items in enumerate((kll.get("sketch") or {}).get("data", [])):
            for item in items:  # an item of level i stands for 2^i values
                counts[float(item)] = counts.get(float(item), 0.0) + 2.0**level
        return ("numbers", counts) if counts else None
    text = (feature.get("string_statistics") or {}).get("distribution") or {}
    buckets = (text.get("categorical") or {}).get("buckets", [])
    counts = {bucket["value"]: float(bucket["count"]) for bucket in buckets}
    return ("categories", counts) if counts else None


def read(s3: Any, url: str) -> Json | None:
    """A JSON object of S3; None when it is not there (AWS's analyzer may write no violations)."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        content: Json = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
        return content
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise


def publish(found: dict[str, float], namespace: str, endpoint_name: str, cloudwatch: Any) -> None:
    """Puts the figures, with the time of now."""
    dimensions = [{"Name": "EndpointName", "Value": endpoint_name}]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": "None"}
        for name, value in sorted(found.items())
    ]
    for start in range(0, len(data), BATCH):
        cloudwatch.put_metric_data(Namespace=namespace, MetricData=data[start : start + BATCH])


def handler(event: Json, context: Any) -> Json:
    """An "Object Created" event of S3 for one of the analysis' files."""
    with log.call("publishMonitoring", event, context) as call:
        bucket, key = call.state["detail"]["bucket"]["name"], call.state["detail"]["object"]["key"]
        folder, endpoint_name = key.rpartition("/")[0], os.environ["ENDPOINT_NAME"]
        s3, url = client("s3"), f"s3://{bucket}/{folder}"
        statistics = read(s3, f"{url}/{STATISTICS}")
        if statistics is None:
            return {"published": 0, "reason": f"{url}/{STATISTICS} is not there yet."}
        violations = (read(s3, f"{url}/{VIOLATIONS}") or {}).get("violations", [])
        against = None
        if "features" in statistics:
            _, known = baseline.of_endpoint(endpoint_name, client("sagemaker"))
            against = read(s3, known["ModelDataQuality"]["Statistics"]["S3Uri"])
        found = metrics(statistics, violations, against)
        publish(found, os.environ["METRICS_NAMESPACE"], endpoint_name, client("cloudwatch"))
        call.say("published", analysis=url, violations=len(violations), metrics=len(found))
        return {"published": len(found), "violations": len(violations), "analysis": url}
