"""Windows of traffic for the report's tests, made up with a fixed seed."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from PIL import Image

from monitoring.report import Observation, ReportInput, Window

START = datetime(2026, 11, 22, 14, tzinfo=UTC)
CLASSES = ("bicycle", "motorcycle")
DATASET = "rendered stand-in, not CIFAR-100"


def png(side: int = 32, seed: int = 0) -> bytes:
    """A wheel-like ring on a plain ground."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    ring = np.abs(np.hypot(x, y) - random.uniform(0.2, 0.4)) < 0.06
    pixels = np.where(ring[..., None], random.integers(0, 90, 3), random.integers(130, 255, 3))
    target = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(target, "PNG")
    return target.getvalue()


def observation(place: int, said: int, confidence: float, **more: Any) -> Observation:
    other = 1 - confidence
    pair = (confidence, other) if said == 0 else (other, confidence)
    moment = START + timedelta(seconds=15 * place)
    return replace(Observation(f"id-{place:06}", moment, pair, CLASSES[said], confidence), **more)


def traffic(count: int = 240, seed: int = 1, labels: bool = True) -> list[Observation]:
    """Motorcycles are answered less surely, and one answer in ten is wrong."""
    random = np.random.default_rng(seed)
    said = random.integers(0, 2, count)
    confidence = 1 - 0.5 * np.where(said == 0, random.beta(0.6, 6, count), random.beta(1, 4, count))
    wrong = random.random(count) < 1 - confidence
    step = timedelta(hours=1) / count
    return [
        observation(
            place,
            int(said[place]),
            float(confidence[place].round(6)),
            inference_time=START + place * step,
            label=CLASSES[int(said[place] ^ wrong[place])] if labels else None,
            image=png(seed=place) if count <= 1000 else None,
        )
        for place in range(count)
    ]


def given(observations: Sequence[Observation], **more: Any) -> ReportInput:
    return replace(
        ReportInput(
            observations,
            Window(
                START, START + timedelta(hours=1), "s3://scones/capture/scones-local/AllTraffic"
            ),
            threshold=0.8,
            classes=CLASSES,
            endpoint_name="scones-local",
            model_version="3",
            dataset_name=DATASET,
        ),
        **more,
    )


def numeric(name: str, values: Sequence[float], buckets_only: bool = False) -> dict[str, Any]:
    """A feature of statistics.json."""
    low, high = min(values), max(values)
    counts, edges = np.histogram(values, 10, (low, high if high > low else low + 1))
    buckets = [
        {"lower_bound": float(a), "upper_bound": float(b), "count": float(n)}
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    kll: dict[str, Any] = {"buckets": buckets}
    if not buckets_only:
        kll["sketch"] = {"parameters": {"c": 0.64, "k": 2048.0}, "data": [list(values)]}
    return {
        "name": name,
        "inferred_type": "Fractional",
        "numerical_statistics": {
            "common": {"num_present": len(values), "num_missing": 0},
            "mean": float(np.mean(values)),
            "distribution": {"kll": kll},
        },
    }


def categorical(name: str, counts: Mapping[str, int]) -> dict[str, Any]:
    buckets = [{"value": value, "count": count} for value, count in counts.items()]
    return {
        "name": name,
        "inferred_type": "String",
        "string_statistics": {"distribution": {"categorical": {"buckets": buckets}}},
    }


def statistics(seed: int, darker: float = 0.0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    features = [
        numeric(name, random.normal(middle, wide, 1500).round(4).tolist(), name == "sharpness")
        for name, middle, wide in (
            ("brightness", 0.52 - darker, 0.12),
            ("contrast", 0.21, 0.05),
            ("sharpness", 0.11, 0.03),
            ("red", 0.5 - darker, 0.13),
        )
    ]
    features.append(numeric("width", [32.0] * 50))
    features.append(categorical("predicted_class", {"bicycle": 700, "motorcycle": 800}))
    return {"version": 0.0, "dataset": {"item_count": 1500}, "features": features}


def violation(name: str, check: str, description: str) -> dict[str, str]:
    return {"feature_name": name, "constraint_check_type": check, "description": description}


DRIFT = violation(
    "brightness", "baseline_drift_check", "Baseline drift distance: 0.3215 exceeds threshold: 0.1"
)
EVALUATION = {
    "dataset": {"name": DATASET},
    "binary_classification_metrics": {"accuracy": {"value": 0.905, "standard_deviation": 0.02}},
    "per_class": {"bicycle": {"mean_confidence": 0.962}, "motorcycle": {"mean_confidence": 0.951}},
    "calibration": {
        "ece": 0.021,
        "bins": [
            {"from": 0.5, "to": 0.55, "images": 9, "confidence": 0.53, "accuracy": 0.55},
            {"from": 0.75, "to": 0.8, "images": 20, "confidence": 0.78, "accuracy": 0.8},
            {"from": 0.95, "to": 1.0, "images": 171, "confidence": 0.99, "accuracy": 0.98},
        ],
    },
}


def full(count: int = 240, **more: Any) -> ReportInput:
    """With everything that a report can have."""
    return given(
        traffic(count),
        **{
            "baseline_statistics": statistics(1),
            "traffic_statistics": statistics(2, darker=0.08),
            "violations": {"violations": [DRIFT]},
            "evaluation": EVALUATION,
            **more,
        },
    )
