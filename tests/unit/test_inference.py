"""The handlers of the endpoint: what they accept, what they refuse, what they answer."""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from steps.train import archive, inference
from steps.train.network import Network


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model archive's folder with untrained weights."""
    torch.manual_seed(0)
    network = Network()
    network.fit_input(torch.rand(20, 3, 32, 32))
    folder = tmp_path_factory.mktemp("model")
    archive.write(folder, network.eval(), {"temperature": 0.5, "bias": -0.25})
    return folder


@pytest.fixture
def photo() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    return Image.fromarray(pixels)


def _encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _pixels(body: bytes, kind: str = "image/png") -> npt.NDArray[np.float32]:
    tensor = inference.input_fn(body, kind)
    assert tensor.shape == (1, 3, 32, 32)
    assert 0 <= tensor.min() <= tensor.max() <= 1
    pixels: npt.NDArray[np.float32] = (tensor[0].permute(1, 2, 0) * 255).round().numpy()
    return pixels


def test_an_image_of_the_networks_size_keeps_its_pixels(photo: Image.Image) -> None:
    np.testing.assert_array_equal(_pixels(_encoded(photo)), np.asarray(photo))


@pytest.mark.parametrize("kind", ["image/png", "application/x-image", "Image/PNG; charset=x"])
def test_the_content_types_of_the_original_model_are_accepted(
    photo: Image.Image, kind: str
) -> None:
    np.testing.assert_array_equal(_pixels(_encoded(photo), kind), np.asarray(photo))


def test_a_jpeg_is_accepted(photo: Image.Image) -> None:
    flat = Image.new("RGB", (64, 48), (200, 40, 90))
    assert np.abs(_pixels(_encoded(flat, "JPEG"), "image/jpeg") - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("size", [(1, 1), (500, 20), (33, 31), (2000, 1500)])
def test_an_image_of_any_size_is_resized(size: tuple[int, int]) -> None:
    flat = Image.new("RGB", size, (10, 200, 30))
    np.testing.assert_array_equal(_pixels(_encoded(flat))[5, 7], (10, 200, 30))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("L", (32, 32), 77), (77, 77, 77)),
        (Image.new("1", (32, 32), 1), (255, 255, 255)),
        (Image.new("RGBA", (32, 32), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("RGBA", (32, 32), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("LA", (32, 32), (50, 255)), (50, 50, 50)),
        (Image.new("RGB", (32, 32), (9, 8, 7)).quantize(4), (9, 8, 7)),
        (Image.fromarray(np.full((32, 32), 65535, np.uint16)), (255, 255, 255)),
        (Image.fromarray(np.full((32, 32), 257 * 20, np.uint16)), (20, 20, 20)),
    ],
    ids=["grey", "bit", "opaque", "transparent", "grey-alpha", "palette", "16-bit", "dark 16-bit"],
)
def test_an_image_of_any_mode_becomes_rgb(
    image: Image.Image, expected: tuple[int, int, int]
) -> None:
    assert (_pixels(_encoded(image)) == expected).all()


def test_the_orientation_that_a_camera_noted_is_applied(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: show it rotated by 90 degrees clockwise
    turned = np.rot90(np.asarray(photo), -1)
    np.testing.assert_array_equal(_pixels(_encoded(photo, exif=exif)), turned)


def _bomb() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not an image",
        _encoded(Image.new("RGB", (32, 32)))[:60],
        _encoded(Image.new("RGB", (64, 64), "red"), "JPEG")[:300],
        _encoded(Image.new("RGB", (8, 8)), "BMP"),
        _bomb(),
    ],
    ids=["nothing", "text", "cut PNG", "cut JPEG", "BMP", "bomb"],
)
def test_what_cannot_be_decoded_is_refused_with_one_sentence(body: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        inference.input_fn(body, "image/png")
    sentence = str(caught.value)
    assert "image" in sentence
    assert "\n" not in sentence


def test_another_content_type_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'text/csv' is not supported; send one of image/png"):
        inference.input_fn(b"1,2", "text/csv")


def test_the_answer_is_two_probabilities_that_add_up_to_one(
    model_dir: Path, photo: Image.Image
) -> None:
    model = inference.model_fn(str(model_dir))
    prediction = inference.predict_fn(inference.input_fn(_encoded(photo), "image/png"), model)
    answer = json.loads(_one(prediction))
    assert len(answer) == 2
    assert sum(answer) == pytest.approx(1)
    network = Network().eval()
    network.load_state_dict(torch.load(model_dir / "model.pt", weights_only=True))
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        logits = (network(pixels) + network(pixels.flip(3))) / 2 / 0.5 + torch.tensor([0, -0.25])
    np.testing.assert_allclose(answer, logits.softmax(1)[0].numpy(), rtol=1e-5)


def _lines(*images: bytes) -> bytes:
    return b"".join(
        json.dumps({"image": base64.b64encode(image).decode()}).encode() + b"\n" for image in images
    )


def test_several_images_in_a_request_get_a_line_each_as_each_gets_alone(model_dir: Path) -> None:
    model = inference.model_fn(str(model_dir))
    images = [_encoded(Image.new("RGB", (32, 32), (20 * n, 90, 160))) for n in range(11)]
    prediction = inference.predict_fn(inference.input_fn(_lines(*images), inference.LINES), model)
    answer, kind = inference.output_fn(prediction, "*/*")
    assert kind == "application/jsonlines"
    found = [json.loads(line) for line in answer.split("\n")]
    alone = [
        json.loads(_one(inference.predict_fn(inference.input_fn(i, "image/png"), model)))
        for i in images
    ]
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)


def _one(prediction: torch.Tensor) -> str:
    answer = inference.output_fn(prediction, "application/json")
    assert isinstance(answer, str)
    return answer


def test_a_single_line_is_answered_as_a_single_image(model_dir: Path, photo: Image.Image) -> None:
    model = inference.model_fn(str(model_dir))
    lines, image = _lines(_encoded(photo)), _encoded(photo)
    of_line = inference.predict_fn(inference.input_fn(lines, inference.LINES), model)
    of_image = inference.predict_fn(inference.input_fn(image, "image/png"), model)
    assert _one(of_line) == _one(of_image)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"not json", "line 2: a line must be"),
        (b'{"picture": "x"}', "line 2: a line must be"),
        (b'{"image": "%%%"}', "line 2: a line must be"),
        (b'{"image": 7}', "line 2: a line must be"),
        (b'["image"]', "line 2: a line must be"),
        (b'{"image": "aGVsbG8="}', "line 2: the body is not a whole PNG or JPEG"),
    ],
)
def test_a_line_that_is_no_image_is_refused_by_its_number(
    photo: Image.Image, line: bytes, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        inference.input_fn(_lines(_encoded(photo)) + line, inference.LINES)


def test_lines_without_an_image_are_refused() -> None:
    with pytest.raises(ValueError, match="no line with an image"):
        inference.input_fn(b"\n \n", inference.LINES)


def test_an_image_and_its_mirror_image_get_the_same_answer(
    model_dir: Path, photo: Image.Image
) -> None:
    model = inference.model_fn(str(model_dir))
    tensor = inference.input_fn(_encoded(photo), "image/png")
    one, other = (inference.predict_fn(x, model) for x in (tensor, tensor.flip(3)))
    torch.testing.assert_close(one, other)


def test_any_number_of_images_at_once_gets_the_answers_that_each_gets_alone(
    model_dir: Path,
) -> None:
    model = inference.model_fn(str(model_dir))
    images = torch.rand(7, 3, 32, 32)
    together = inference.predict_fn(images, model)
    alone = torch.cat([inference.predict_fn(image[None], model) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
