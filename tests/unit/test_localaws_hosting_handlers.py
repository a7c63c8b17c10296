"""The model server's handlers: those of the archive, and the defaults of the inference image."""

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from localaws.hosting.model_server.handlers import Answer, Model


def load(folder: Path, script: str) -> Model:
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "inference.py").write_text(textwrap.dedent(script))
    return Model.load(folder)


ECHO = """
    def model_fn(model_dir):
        return model_dir

    def input_fn(body, content_type):
        return body, content_type

    def predict_fn(data, model):
        return data

    def output_fn(prediction, accept):
        return repr((*prediction, accept))
"""


def test_a_handler_gets_bytes_of_an_image_and_text_of_json_and_csv(tmp_path: Path) -> None:
    model = load(tmp_path, ECHO)
    assert model.invoke(b"x", "image/png", None) == Answer(
        200, b"(b'x', 'image/png', 'application/json')", "application/json"
    )
    assert (
        model.invoke(b"1,2", "text/csv", "*/*").body == b"('1,2', 'text/csv', 'application/json')"
    )


def test_the_accepted_type_is_the_type_of_the_answer(tmp_path: Path) -> None:
    assert load(tmp_path, ECHO).invoke(b"x", "image/png", "text/csv").content_type == "text/csv"


def test_output_fn_may_name_its_content_type(tmp_path: Path) -> None:
    model = load(
        tmp_path, ECHO + "    def output_fn(p, accept):\n        return 'a', 'text/plain'\n"
    )
    assert model.invoke(b"x", "image/png", None) == Answer(200, b"a", "text/plain")


def test_handlers_may_take_a_context(tmp_path: Path) -> None:
    script = ECHO.replace("accept):", "accept, context):").replace("model):", "model, context):")
    assert load(tmp_path, script).invoke(b"x", "image/png", None).status == 200


def test_transform_fn_takes_the_place_of_the_other_three(tmp_path: Path) -> None:
    model = load(
        tmp_path,
        """
        def model_fn(model_dir):
            return 3

        def transform_fn(model, body, content_type, accept):
            return str(model + len(body)), "text/plain"
        """,
    )
    assert model.invoke(b"four", "image/png", None) == Answer(200, b"7", "text/plain")


def test_a_value_error_of_input_fn_is_the_callers_mistake_in_one_sentence(tmp_path: Path) -> None:
    model = load(tmp_path, ECHO.replace("return body, content_type", "raise ValueError('no PNG')"))
    answer = model.invoke(b"x", "image/png", None)
    assert (answer.status, answer.body) == (400, b"no PNG")


def test_a_value_error_of_predict_fn_is_the_models_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load(tmp_path, ECHO.replace("return data", "raise ValueError('no idea')"))
    answer = model.invoke(b"x", "image/png", None)
    assert answer.status == 500
    assert answer.body.startswith(b"no idea\nTraceback")
    assert "predict_fn" in capsys.readouterr().err  # the log has it too


def test_an_answer_that_is_neither_text_nor_bytes_is_a_500(tmp_path: Path) -> None:
    model = load(tmp_path, ECHO.replace("return repr((*prediction, accept))", "return 3"))
    assert model.invoke(b"x", "image/png", None).status == 500


def test_a_model_fn_that_raises_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken weights"):
        load(tmp_path, ECHO.replace("return model_dir", "raise RuntimeError('broken weights')"))


def test_the_program_that_the_environment_names_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "serve.py")
    with pytest.raises(FileNotFoundError, match=r"SAGEMAKER_PROGRAM names serve\.py"):
        load(tmp_path, ECHO)


@pytest.fixture
def doubling(tmp_path: Path) -> Model:
    """An archive without a script: a TorchScript model that doubles."""
    module = torch.jit.trace(torch.nn.Identity(), torch.ones(1))
    torch.jit.save(module, str(tmp_path / "model.pth"))
    return Model.load(tmp_path)


def test_the_defaults_read_json_and_answer_json(doubling: Model) -> None:
    answer = doubling.invoke(b"[[1.5, 2]]", "application/json", None)
    assert (answer.status, json.loads(answer.body)) == (200, [[1.5, 2.0]])


def test_the_defaults_read_csv_and_answer_npy(doubling: Model) -> None:
    answer = doubling.invoke(b"1,2\n3,4", "text/csv", "application/x-npy")
    assert answer.content_type == "application/x-npy"
    (header, _, data) = answer.body.partition(b"\n")
    assert b"NUMPY" in header
    assert np.frombuffer(data, "<f4").tolist() == [1.0, 2.0, 3.0, 4.0]


def test_the_defaults_refuse_an_image_with_415_and_an_odd_answer_with_406(doubling: Model) -> None:
    assert doubling.invoke(b"x", "image/png", None).status == 415
    assert doubling.invoke(b"[1]", "application/json", "image/png").status == 406


def test_json_that_is_none_is_a_400(doubling: Model) -> None:
    assert doubling.invoke(b"[1,", "application/json", None).status == 400


def test_without_a_model_fn_there_must_be_one_script_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="it holds 0"):
        Model.load(tmp_path)
