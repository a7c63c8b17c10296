"""The SageMaker Pipelines of Scones: built from settings, checked, submitted, started, watched.

In flow the settings of one environment (`config/*.yaml`), the resources that its stack made
(bucket, roles, model package group) and the programs of `steps/`. Out comes a pipeline definition,
and from an execution of it a registered model package.

    settings.py    config/*.yaml → Settings
    code.py        steps/*.py → content-addressed bundles in S3
    resources.py   the stack's outputs → Resources
    training.py    all of these → the training pipeline, with the SageMaker SDK
                   (`build.py`, `parameters.py`, `trainer.py`, `algorithm.py` and `built_in.py`
                   are its parts)
    check.py       a definition → what is wrong with it, before AWS says so
    execution.py   start, watch, list, stop
    registry.py    the versions of the model, and which one a new one is held against

The graph is made without an AWS call; `code`, `execution`, `registry` and `resources` talk to a
service, through clients that they are handed. The SDK takes seconds to import, so only
`training.py` and its parts import it.
"""
