"""The README's figures: each benchmark measures side by side in one run and prints what it found.

    python -m benchmarks            all of them, one after the other, one table (`make bench`)
    python -m benchmarks.prepare    Prepare against the notebook's way and against the floor
    python -m benchmarks.engine     the embedded AWS's own share of a run, and its memory
    python -m benchmarks.features   features of captured records, a second and core
    python -m benchmarks.monitoring the analyzer beside Evidently and whylogs, and its memory
    python -m benchmarks.accuracy   the model's test accuracy with several seeds (minutes)
    python -m benchmarks.start      how soon a model server answers
    python -m benchmarks.workflow   the inference workflow's own time, losses, approval to InService
    python -m benchmarks.serving    the endpoint beside TorchServe, LitServe and no server at all

    a benchmark ─► results.json (`results`) ─► claims (`claim`, `claims`) ─┬─► `table`, the terminal
                                                                           └─► `readme`, README.md

A claim says how its figure comes from the results, and what was asked for, so what is measured,
written and judged is one thing. `deployed` brings up what the last three measure; `load` is their
client. Programs of others live in environments of their own (`peers`, `servers`).
"""
