"""The built-in algorithm's hyperparameters, in a request and in our settings."""

from pathlib import Path

import pytest

from pipelines.settings import CONFIG_FOLDER, SettingsError, load
from service_model.image_classification import HYPERPARAMETERS, HyperparameterError, read

DATA = {"num_classes": "2", "num_training_samples": "900"}


def test_what_is_not_given_has_the_guides_default() -> None:
    values = read(DATA)
    assert values.keys() == HYPERPARAMETERS.keys()
    assert (values["epochs"], values["num_layers"], values["optimizer"]) == (30, 152, "sgd")
    assert values["image_shape"] == (3, 224, 224)
    assert values["early_stopping"] is False
    assert values["augmentation_type"] is values["checkpoint_frequency"] is None


def test_text_becomes_what_the_algorithm_takes_it_for() -> None:
    given = {
        "image_shape": "3, 32, 32",
        "lr_scheduler_step": "10, 20",
        "early_stopping": "True",
        "learning_rate": "1e-3",
        "use_pretrained_model": "0",
    }
    values = read(DATA | given)
    assert values["image_shape"] == (3, 32, 32)
    assert values["lr_scheduler_step"] == (10, 20)
    assert values["early_stopping"] is True
    assert values["learning_rate"] == 0.001
    assert values["use_pretrained_model"] == 0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("epoch", "3", r"Additional hyperparameters are not allowed \('epoch' was unexpected\)"),
        ("epochs", "0", "epochs: 0 is less than the minimum of 1"),
        ("epochs", "3.5", "epochs: '3.5' is not of type 'integer'"),
        ("epochs", "many", "epochs: 'many' is not of type 'integer'"),
        ("num_classes", "-2", "num_classes: -2 is less than the minimum of 1"),
        ("learning_rate", "1.5", "learning_rate: 1.5 is greater than the maximum of 1"),
        ("learning_rate", "-0.1", "learning_rate: -0.1 is less than the minimum of 0"),
        ("learning_rate", "nan", "learning_rate: 'nan' is not of type 'number'"),
        ("optimizer", "muon", "optimizer: 'muon' is not one of"),
        ("num_layers", "33", "num_layers: '33' is not one of"),
        ("augmentation_type", "flip", "augmentation_type: 'flip' is not one of"),
        ("early_stopping", "1", "early_stopping: '1' is not one of"),
        ("image_shape", "32x32", "image_shape: '32x32' does not match"),
        ("image_shape", "3,0,32", "image_shape: '3,0,32' does not match"),
        ("lr_scheduler_step", "ten", "lr_scheduler_step: 'ten' does not match"),
        ("top_k", "1", "top_k: 1 is less than the minimum of 2"),
        ("checkpoint_frequency", "31", "31 is greater than epochs, 30"),
    ],
)
def test_an_unknown_or_illegal_one_is_refused_by_name(name: str, value: str, sentence: str) -> None:
    with pytest.raises(HyperparameterError, match=sentence):
        read(DATA | {name: value})


def test_the_two_that_have_no_default_are_required() -> None:
    for name in DATA:
        rest = {other: value for other, value in DATA.items() if other != name}
        with pytest.raises(HyperparameterError, match=f"'{name}' is a required hyperparameter"):
            read(rest)


def test_pretrained_weights_are_there_for_the_depths_of_large_images_only() -> None:
    assert read(DATA | {"use_pretrained_model": "1", "num_layers": "18"})["num_layers"] == 18
    with pytest.raises(HyperparameterError, match="which use_pretrained_model needs"):
        read(DATA | {"use_pretrained_model": "1", "num_layers": "20"})


def test_the_shipped_configuration_is_legal_and_one_word_away() -> None:
    training = load("prod").training
    assert training.chosen is training
    built_in = training.model_copy(update={"algorithm": "built-in"})
    assert built_in.chosen is training.built_in
    assert built_in.chosen.instance_type == "ml.p3.2xlarge"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("instance_type: ml.c5.xlarge", "GPU instances only"),
        ("hyperparameters: {epoch: 3}", r"'epoch' was unexpected"),
        ("hyperparameters: {learning_rate: 2}", "learning_rate: 2 is greater than"),
        ("hyperparameters: {num_classes: 3}", "num_classes comes from the data"),
    ],
)
def test_a_configuration_that_the_algorithm_would_refuse_is_refused_before_it_costs_anything(
    tmp_path: Path, override: str, sentence: str
) -> None:
    (tmp_path / "base.yaml").write_text((CONFIG_FOLDER / "base.yaml").read_text())
    (tmp_path / "local.yaml").write_text(f"training: {{built_in: {{{override}}}}}")
    with pytest.raises(SettingsError, match=sentence) as refused:
        load("local", tmp_path)
    assert "local.yaml over base.yaml: training.built_in" in str(refused.value)
