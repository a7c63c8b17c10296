"""Stands in for SageMaker's built-in image-classification image: its contract, not its network.

    channels train, validation, train_lst, validation_lst ─► the training job
        ─► image-classification-NNNN.params, image-classification-symbol.json, model-shapes.json
        ─► answers, behind `/invocations` and in batch transforms

    __main__.py   the training job: configuration, the log in the algorithm's words, the end
    dataset.py    the channels and their lists
    training.py   epochs, learning rate, early stopping, the epoch that validates best
    network.py    the network, and images as it sees them
    serve.py      an image → probabilities, as JSON or JSON Lines

As the algorithm does: hyperparameters are checked and refused (`service_model.image_classification`
holds the guide's table), channels and lists too; the log has its lines, from which SageMaker takes
`train:accuracy` and `validation:accuracy`; what is kept is the epoch that validated best, or one in
`checkpoint_frequency`; the answer is a list of probabilities.

Not as the algorithm does: the network is a small convolutional one whatever `num_layers` says, on a
CPU in float32, so neither accuracy nor time tells anything about the algorithm's; `.params` are not
MXNet's, and neither side reads the other's; images are scaled to `image_shape`, and `resize`,
`precision_dtype` and `kv_store` change nothing. Pretrained weights, multi-label data, RecordIO,
augmented manifests and incremental training are refused by name. Checkpoints of spot training are
not written.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/image-classification.html, and logs of the
algorithm that users have published.
"""
