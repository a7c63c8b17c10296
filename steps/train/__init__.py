"""Train: a small network for 32×32 images of two classes, from scratch, on two cores.

Measured with the defaults on the bicycles and motorcycles of CIFAR-100 (900 training, 100
validation and 200 test images), five runs, seeds 0 to 4, torch 2.13 on two cores of an Intel Xeon
of 2023 (Sapphire Rapids, which multiplies bfloat16):

@@FIGURES@@

How it was chosen: network, optimiser, augmentation and their strengths by cross-validation on
training images only (three random 80/20 splits, accuracy and NLL); what was changed since, the
frozen whitening without a bias and bfloat16, for its speed: in five-fold cross-validation on the
1,000 training images its accuracy is 0.952, NLL 0.134. An exponential average of the weights
(0.950, 0.134) gained nothing and is not here. The test images were only reported.

    train/ ──────► augmented batches ─► network ─► Muon and SGD ──┐
    validation/ ─► a line an epoch; at the end, one temperature ──┼─► /opt/ml/model
    dataset/ ────► lists, classes, the dataset's name and hash ───┘

- `network`: the layers; `data`: images and their augmentation; `optimiser`: Muon
- `picture`: an image file as the network sees it
- `loop`: epochs, schedule, log lines; `checkpoint`: what an interrupted job goes on from
- `patience`: early stopping, when asked for; `machines`: device, arithmetic, several processes
- `calibration`: the temperature; `archive`: what SageMaker packs into `model.tar.gz`
- `inference`: the handlers in that archive; they serve, and Evaluate asks through them
- `__main__`: `python -m steps.train --help`, or the script that SageMaker's driver calls

The program never sees the test images. On the same kind of processor, the same seed, number of
threads and processes, and version of torch give the same bytes, also after an interruption. A copy
of this page travels in every model archive.
"""
