"""The functions of the workflows: one module each, its `handler` at the bottom.

Inference (`workflow/inference.asl.json`), an image in S3 to a checked answer:

    serialize_image_data              the S3 object → a bounded image in the state
    image_classification              the image → the endpoint's probabilities
    filter_low_inference_confidence   raises THRESHOLD_CONFIDENCE_NOT_MET
    queue_for_review                  what was not sure enough → review/ and the review queue

Deployment (`workflow/deployment.asl.json`), an approval to a serving endpoint:

    model_package_changed             the registry's event → an execution
    plan_deployment                   what is to be done, at this execution's turn
    update_endpoint                   model, configuration, endpoint; until it serves
    smoke_test                        real images, against the evaluation's answers
    create_monitoring_schedule        the hourly monitor, for accounts that have it
    publish_inference_workflow        a version of the inference workflow; the alias moves
    clean_up_deployment               models and configurations that nothing uses
    roll_back_deployment              what served before; the reason in one sentence

Retraining, a wish to a run of the retraining pipeline:

    request_retraining                an alarm, labels, the schedule or a person → one start at most

`retraining.py` keeps the runs and the decisions about them.

`deployment.py` holds what the deployment's functions share: options, names, reads; `history.py`
reads what was decided before and what has served. `log.py` writes one JSON object a line, all of
one execution under its name. A handler parses, calls and returns; the functions above it are handed
their clients. Every error that a workflow names is a class of that name.

A handler takes either the state itself or, from a workflow, `{"execution": …, "state": …}` with
what the workflow's definition carries beside it.
"""
