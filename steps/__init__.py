"""The programs that run inside SageMaker jobs and behind the endpoint.

- `steps.prepare` (Processing job): the CIFAR-100 archive and labelled images ─► PNGs, lists,
  `dataset.json`
- `steps.train` (Training job): channels `train`, `validation`, `dataset` ─► `/opt/ml/model`
- `steps.evaluate` (Processing job): `model.tar.gz` or the answers of a batch transform, `test`,
  `validation` ─► `evaluation.json`
- `steps.train.inference` (endpoint, from within the model archive): image ─► two probabilities

All of them run in the PyTorch images.

    archive ─► prepare ─► train/ validation/ dataset/ ─► train ─► model.tar.gz ─► evaluate
                  └─────► test/ ───────────────────────────────────────────────────▲

The paths default to those that SageMaker gives a job: `/opt/ml/processing/…` for Processing,
`/opt/ml/input/data/<channel>`, `/opt/ml/model` and `/opt/ml/checkpoints` for Training. Each is an
option as well, so every program also runs by hand; `--help` lists them. `PYTHONPATH` names the
folder that holds this package, in a job (the unpacked code bundle) as by hand (the repository).

The programs import the standard library, numpy, pillow and torch, and no other package of ours:
an image brings nothing else, and a job may have no network. A program that cannot go on ends with
one sentence, which `steps.job` prints and leaves where SageMaker looks for it.
"""
