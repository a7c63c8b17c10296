"""What stands for the Model Monitor analyzer image, and a program of its own.

    python -m monitoring.analyzer --help

In: captured or merged records (JSON Lines), CSV or JSON Lines below `dataset_source`, and, for a
comparison, a baseline's `constraints.json` and `statistics.json`. Out: `statistics.json`,
`constraints.json`, `constraint_violations.json`, the exit message and metric files.

    settings     the job's environment, checked
    readers      the dataset as chunks of columns, whatever its format
    records      captured and merged records as rows
    preprocessor runs the record preprocessor script
    chunk        some rows of the dataset, as columns
    column       one chunk of one column: the type of each value, its numbers, its texts
    sketch       quantiles and distinct counts in little memory (Apache DataSketches)
    profile      chunks ─► one accumulator a feature; profiles of shards merge into one
    statistics   profile ─► statistics.json
    constraints  statistics ─► constraints.json, and the monitoring configuration with overrides
    distance     how far two distributions lie apart
    checks       the six checks ─► constraint_violations.json
    quality      labels against predictions, for MODEL_QUALITY
    scores       the figures of model quality
    outputs      all files at the end, each whole or not at all

Every stage but the last is a pure function of the stage before, and nothing is written before
everything is known, so that a killed run leaves nothing behind. Memory does not grow with the
number of rows: a feature keeps its sketches (about 100 kB), never its values. (Model quality keeps
label, prediction and score of each row, since its deviations come from random subsamples.)

The analyzer's formats and texts are AWS's where they are known. `[?]` in a comment marks what no
source confirms, `[I]` what follows from other facts only.
"""
