"""The README's figures: each script measures side by side in one run and prints what it found.

    python -m benchmarks            all of them but the last, and benchmarks/results.json
    python -m benchmarks.prepare    Prepare against the notebook's way and against the floor
    python -m benchmarks.engine     the embedded AWS's own share of a run, and its memory
    python -m benchmarks.workflow   the inference workflow's own time, losses, approval to InService
    python -m benchmarks.serving    the endpoint beside TorchServe, LitServe and no server at all
    python -m benchmarks.accuracy   the model's test accuracy with several seeds (minutes)

`deployed` brings up what the two before the last measure; `load` is their client. Programs of
others live in environments of their own (`peers`, `servers`).
"""
