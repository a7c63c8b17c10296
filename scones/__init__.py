"""The command line of Scones: one module a command group.

    scones demo                         the whole loop, on this machine
    scones local up|down|status|env|logs
    scones ci                           buildspec.yml on this machine, as CodeBuild runs it
    scones deploy, scones destroy       the stack of an environment (infra/scones.yaml)
    scones data stage                   an archive → s3://…/raw/
    scones pipeline upsert|start|watch|list|stop|definition
    scones models list|show|approve|reject
    scones deployments list|show        how an approved version came to serve
    scones endpoints show               what serves
    scones classify, scones replay      images through the inference workflow
    scones monitor run|list|show        the traffic against the baseline
    scones review, scones label         what people know about images
    scones retraining list|show|start   what asked for a retraining, and what came of it
    scones report                       a window of traffic as one HTML file

Each command parses, calls a function of `pipelines/` or `scones/` that is handed its clients, and
maps errors to one sentence and an exit code. `connection.connect` is the one place that chooses
between this machine and AWS; nothing behind it asks which of the two it talks to.

Exit codes: 0 done; 1 the thing that was asked for failed (an execution, a stack); 2 the command
line, the settings or the input is wrong; 3 the environment cannot be reached; 130 interrupted.
"""
