"""statistics.json of a profile, in the analyzer's form and order of keys.

Source: "Schema for Statistics (statistics.json file)", SageMaker AI guide, and real files, which
have `completeness` and `approximate_num_distinct_values` in addition.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from monitoring.analyzer.profile import STRING, UNKNOWN, Feature, Profile
from monitoring.analyzer.sketch import SHRINKING, Distribution, K

Json = dict[str, Any]

BUCKETS = 10


def build(profile: Profile) -> Json:
    """The document; features in the order of their columns."""
    features = [_feature(name, one, profile.rows) for name, one in profile.features.items()]
    return {"version": 0.0, "dataset": {"item_count": profile.rows}, "features": features}


def buckets(distribution: Distribution, low: float, high: float) -> list[Json]:
    """Ten buckets of equal width from `low` to `high`; the last one has its upper bound too."""
    bounds = low + (high - low) * np.arange(BUCKETS + 1) / BUCKETS
    bounds[-1] = high
    ranks = distribution.below(bounds)
    ranks[-1] = distribution.total
    return [
        {"lower_bound": float(a), "upper_bound": float(b), "count": float(upper - lower)}
        for a, b, lower, upper in zip(bounds, bounds[1:], ranks, ranks[1:], strict=False)
    ]


def _feature(name: str, feature: Feature, rows: int) -> Json:
    kind = feature.inferred_type
    common = {"num_present": feature.present, "num_missing": rows - feature.present}
    completeness = feature.present / rows if rows else 0.0
    # [?] What a real file shows of a column without values is not known: here, as of strings.
    if kind in (STRING, UNKNOWN):
        return {
            "name": name,
            "inferred_type": kind,
            "string_statistics": _strings(feature, common, completeness),
        }
    return {
        "name": name,
        "inferred_type": kind,
        "numerical_statistics": _numbers(feature, common, completeness),
    }


def _strings(feature: Feature, common: Json, completeness: float) -> Json:
    # The count is exact where all categories were kept.
    kept = feature.categories.complete
    distinct = len(feature.categories.counts) if kept else round(feature.distinct.estimate())
    found: Json = {
        "common": common,
        "distinct_count": float(distinct),
        "completeness": completeness,
    }
    if kept and feature.present:
        counted = feature.categories.counts.items()
        values = [{"value": value, "count": count} for value, count in counted]
        found["distribution"] = {"categorical": {"buckets": values}}
    return found


def _numbers(feature: Feature, common: Json, completeness: float) -> Json:
    moments, levels = feature.moments, feature.quantiles.levels()
    found: Json = {
        "common": common,
        "mean": moments.mean,
        "sum": moments.sum,
        "std_dev": moments.deviation,
        "min": moments.minimum,
        "max": moments.maximum,
        "approximate_num_distinct_values": round(feature.distinct.estimate()),
        "completeness": completeness,
    }
    if not moments.count:  # only signs or points without digits
        found |= {"min": 0.0, "max": 0.0}
        return found
    found["distribution"] = {
        "kll": {
            "buckets": buckets(Distribution(levels), moments.minimum, moments.maximum),
            "sketch": {"parameters": {"c": SHRINKING, "k": float(K)}, "data": levels},
        }
    }
    return found
