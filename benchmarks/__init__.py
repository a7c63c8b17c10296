"""The README's figures: each script measures side by side in one run and prints what it found.

python -m benchmarks            all of them, and benchmarks/results.json
python -m benchmarks.prepare    Prepare against the notebook's way and against the floor
python -m benchmarks.engine     the embedded AWS's own share of a run, and its memory
    python -m benchmarks.accuracy   the model's test accuracy with several seeds (minutes)
"""
