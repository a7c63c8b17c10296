"""The schema of a model card's content, written down from the developer guide.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards.html#model-cards-json-schema
"""

from typing import Any

Json = dict[str, Any]


def text(longest: int = 1024) -> Json:
    return {"type": "string", "maxLength": longest}


def strings(most: int = 15) -> Json:
    return {"type": "array", "items": text(), "maxItems": most}


def members(required: tuple[str, ...] = (), **properties: Json) -> Json:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def metric(kind: str | list[str], value: Json, x_axis: Json, y_axis: Json) -> Json:
    return members(
        ("name", "type", "value"),
        name=text(255),
        notes=text(),
        type={"enum": kind if isinstance(kind, list) else [kind]},
        value=value,
        x_axis_name=x_axis,
        y_axis_name=y_axis,
    )


NUMBER: Json = {"type": "number"}
AXIS, AXES = text(63), {"type": "array", "items": text(63), "minItems": 1, "maxItems": 20}
MANY: Json = {"type": "array", "minItems": 1, "maxItems": 20}
POINT = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
METRICS = [
    metric(["number", "string", "boolean"], {"type": ["number", "string", "boolean"]}, AXIS, AXIS),
    metric("linear_graph", {**MANY, "items": POINT}, AXIS, AXIS),
    metric("bar_chart", {**MANY, "items": NUMBER}, AXES, AXIS),
    metric("matrix", {**MANY, "items": {**MANY, "items": NUMBER}}, AXES, AXES),
]
TRAINING_METRICS = {
    "type": "array",
    "maxItems": 50,
    "items": members(("name", "value"), name=text(255), notes=text(), value=NUMBER),
}
IMAGES = members(container_image=strings())
TEXTS = {"type": "object", "additionalProperties": text()}

SCHEMA = members(
    model_overview=members(
        model_description=text(),
        model_owner=text(),
        model_creator=text(),
        problem_type={"type": "string"},
        algorithm_type=text(),
        model_id=text(),
        model_artifact=strings(),
        model_name=text(),
        model_version={"type": "number", "minimum": 1},
        inference_environment=IMAGES,
    ),
    intended_uses=members(
        purpose_of_model=text(2048),
        intended_uses=text(2048),
        factors_affecting_model_efficiency=text(2048),
        risk_rating={"enum": ["High", "Medium", "Low", "Unknown"]},
        explanations_for_risk_rating=text(2048),
    ),
    training_details=members(
        objective_function={"type": "object"},
        training_observations=text(),
        training_job_details=members(
            training_arn=text(),
            training_datasets=strings(),
            training_environment=IMAGES,
            training_metrics=TRAINING_METRICS,
            user_provided_training_metrics=TRAINING_METRICS,
        ),
    ),
    evaluation_details={
        "type": "array",
        "items": members(
            ("name",),
            name=text(63),
            evaluation_observation=text(2096),
            evaluation_job_arn=text(256),
            datasets=strings(10),
            metadata=TEXTS,
            metric_groups={
                "type": "array",
                "items": members(
                    ("name", "metric_data"),
                    name=text(63),
                    metric_data={"type": "array", "items": {"anyOf": METRICS}},
                ),
            },
        ),
    },
    additional_information=members(
        ethical_considerations=text(2048),
        caveats_and_recommendations=text(2048),
        custom_details=TEXTS,
    ),
)
