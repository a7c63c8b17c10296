"""Automatic model tuning, really run: trials are training jobs, as many at a time as allowed.

A tuning job's request flows in; training jobs come out, and which of them reached the best value of
the objective metric.

ranges       reads ParameterRanges; draws from a range, on its scale
strategies   the trials of a search: Random and Grid. Bayesian and Hyperband are refused by name:
             AWS's own models of the objective are not public, and another one would only pretend
objective    reads the metric from finished jobs, compares, and says when enough is known
request      reads a tuning job's request, and writes that of each trial
search       runs one tuning job: its workers, its stop, its end

A trial is drawn from the seed and its number alone. So the same RandomSeed gives the same trials,
whatever finishes first, and trials that run at once need not know of each other.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning.html and
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html.
"""
