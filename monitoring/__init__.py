"""Monitoring that understands images: what the endpoint sees and says, against its baseline.

In flow the files of data capture, labels, and the baseline of the deployed version; out flow the
standard files of Model Monitor (`statistics.json`, `constraints.json`,
`constraint_violations.json`), metrics, and a report.

    captured records   `capture` reads them (`record`, `window`), and says what is broken
        │  ╲ labels    `ground_truth` writes and joins them
        ▼
    features           `record_preprocessor`: 15 numbers and a class for a record, in one file of
        │              the standard library that Model Monitor's own container can run;
        │              `features`: the same definitions, for whole sets, fast
        ▼
    statistics         `analyzer/`: mergeable sketches of each feature
        ▼
    constraints        `analyzer/`: suggested from a baseline, or the baseline's own
        ▼
    violations         `analyzer/`: the six checks, and model quality where there are labels
        ▼
    metrics, report    `analyzer/` drops metric files; `report/` shows it to people

Model Monitor analyses tables, and its own analyzer refuses an image endpoint's capture: BASE64 in,
JSON out. So each record first becomes a row of features, by the same code for the baseline and for
the traffic: a difference between the two is then a difference between the images. New accounts have
no monitoring schedules, so every stage also runs as a plain job, and at once.
"""
