"""Sets of labelled images: every label once, with the image that it is about."""

import base64
import datetime
import io
import json
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from PIL import Image

from monitoring import ground_truth
from scones import labelled
from scones.answered import UNKNOWN
from scones.datasets.rendered import render
from scones.datasets.scenes import draw
from scones.labelled import LabelledSet, Said, gather, standing
from steps import cifar, prepare
from steps.png import encode as write_png

BUCKET, ENDPOINT = "scones-prod-data", "scones-prod"
Json = dict[str, Any]


def png(seed: int, side: int = 32) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Bucket:
    """A bucket with what the endpoint captured, what waits for review, and what people said."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.now = datetime.datetime.now(datetime.UTC)

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def capture(self, hours_ago: int, **images: bytes) -> None:
        """A file of records with these inference ids."""
        lines = []
        for inference_id, image in images.items():
            half = {"observedContentType": "image/png", "mode": "INPUT", "encoding": "BASE64"}
            answer = {"observedContentType": "application/json", "mode": "OUTPUT"}
            captured = {
                "endpointInput": {**half, "data": base64.b64encode(image).decode()},
                "endpointOutput": {**answer, "data": "[0.6, 0.4]", "encoding": "JSON"},
            }
            metadata = {
                "eventId": f"event-{inference_id}",
                "inferenceId": inference_id,
                "inferenceTime": "2026-11-22T12:00:00Z",
            }
            lines.append(
                json.dumps(
                    {"captureData": captured, "eventMetadata": metadata, "eventVersion": "0"}
                )
            )
        hour = self.now - datetime.timedelta(hours=hours_ago)
        folder = f"capture/{ENDPOINT}/AllTraffic/{hour:%Y/%m/%d/%H}"
        self.put(f"{folder}/00-00-{'-'.join(images)}.jsonl", "\n".join(lines).encode() + b"\n")

    def review(self, inference_id: str, key: str) -> None:
        record = {"inference_id": inference_id, "s3_bucket": BUCKET, "s3_key": key}
        self.put(f"review/{inference_id}.json", json.dumps(record).encode())

    def label(self, inference_id: str, name: str, **more: Any) -> None:
        ground_truth.write_labels(
            [(inference_id, name)], BUCKET, "ground-truth", self.s3, self.now, **more
        )

    def gather(self, now: datetime.datetime | None = None) -> tuple[LabelledSet, list[Json]]:
        found = gather(BUCKET, ENDPOINT, self.s3, now=now or self.now, side=256)
        return found, self.rows(found)

    def rows(self, found: LabelledSet) -> list[Json]:
        first, *lines = self.read(found, "labelled.jsonl").splitlines()
        assert json.loads(first) == {"labelled_images": 1}
        return [json.loads(line) for line in lines]

    def read(self, found: LabelledSet, name: str) -> bytes:
        key = found.url.removeprefix(f"s3://{BUCKET}/") + name
        body: bytes = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body


@pytest.fixture
def bucket(aws: None) -> Bucket:
    return Bucket()


def test_a_captured_image_joins_its_label_with_both_addresses(bucket: Bucket) -> None:
    bucket.capture(30, a=png(1), other=png(2))
    bucket.label("a", "bicycle", by="ann")
    found, (row,) = bucket.gather()
    assert (found.labels, found.images) == (1, 1)
    assert bucket.read(found, row["file"]) == png(1)
    assert row["file"] == f"{row['sha256']}.png"
    assert (row["source"], row["by"], row["label"]) == ("capture", "ann", "bicycle")
    assert row["label_url"].startswith(f"s3://{BUCKET}/ground-truth/")
    assert row["image_url"].endswith("00-00-a-other.jsonl")


def test_an_image_that_waits_for_review_is_found_by_its_record(bucket: Bucket) -> None:
    bucket.put("photos/large.png", png(3, 400))
    bucket.review("r", "photos/large.png")
    bucket.label("r", "motorcycle")
    found, (row,) = bucket.gather()
    assert (row["source"], row["image_url"]) == ("review", f"s3://{BUCKET}/photos/large.png")
    with Image.open(io.BytesIO(bucket.read(found, row["file"]))) as image:
        assert max(image.size) == 256, "as the workflow sent it to the endpoint"


def test_a_reviewed_image_that_is_gone_is_found_in_the_capture(bucket: Bucket) -> None:
    bucket.review("r", "photos/gone.png")
    bucket.label("r", "motorcycle")
    _, (row,) = bucket.gather()
    assert "photos/gone.png is not there" in row["problem"]
    bucket.capture(1, r=png(4))
    _, (row,) = bucket.gather()
    assert (row["source"], "problem" in row) == ("capture", False)


def test_a_label_for_an_unknown_inference_stays_in_the_list_with_its_reason(
    bucket: Bucket,
) -> None:
    bucket.capture(1, known=png(5))
    bucket.capture(24 * 9, old=png(6))  # further back than a label may come
    for name in ("known", "never", "old"):
        bucket.label(name, "bicycle")
    found, rows = bucket.gather()
    assert (found.labels, found.images) == (3, 1)
    assert {r["inference_id"]: r.get("problem") for r in rows} == {
        "known": None,
        "never": UNKNOWN,
        "old": UNKNOWN,
    }


def test_the_same_labels_give_the_same_address_and_a_new_one_another(bucket: Bucket) -> None:
    bucket.capture(1, a=png(7), b=png(8))
    nothing, rows = bucket.gather()
    assert rows == []
    bucket.label("a", "bicycle")
    first, _ = bucket.gather()
    assert bucket.gather()[0] == first
    bucket.label("b", "motorcycle")
    second, rows = bucket.gather()
    assert len({nothing.url, first.url, second.url}) == 3
    assert [row["inference_id"] for row in rows] == ["a", "b"]


def test_an_image_outlives_its_capture(bucket: Bucket) -> None:
    bucket.capture(1, a=png(9))
    bucket.label("a", "bicycle")
    bucket.gather()
    for item in bucket.s3.list_objects_v2(Bucket=BUCKET, Prefix="capture/")["Contents"]:
        bucket.s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    bucket.label("unknown", "bicycle")
    found, rows = bucket.gather()
    assert bucket.read(found, rows[0]["file"]) == png(9)
    later, _ = bucket.gather(bucket.now + datetime.timedelta(days=30))
    assert later == found


def test_a_broken_capture_file_hides_no_other(bucket: Bucket) -> None:
    bucket.capture(2, z=png(10))
    hour = bucket.now - datetime.timedelta(hours=1)
    bucket.put(f"capture/{ENDPOINT}/AllTraffic/{hour:%Y/%m/%d/%H}/x.jsonl", b'{"no": "record"\n')
    bucket.capture(0, a=png(11))
    bucket.label("a", "bicycle")
    assert bucket.gather()[0].images == 1


def said(label: str, correction: bool = False) -> Said:
    moment = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
    return Said("i", label, "", moment, "s3://b/k", correction)


@pytest.mark.parametrize(
    ("labels", "stand"),
    [
        ([said("bicycle"), said("bicycle")], ["bicycle"]),
        ([said("bicycle"), said("motorcycle")], ["bicycle", "motorcycle"]),
        ([said("bicycle"), said("motorcycle"), said("bicycle")], ["bicycle", "motorcycle"]),
        ([said("bicycle"), said("motorcycle", True)], ["motorcycle"]),
        ([said("bicycle"), said("motorcycle"), said("bicycle", True)], ["bicycle"]),
        ([said("bicycle", True), said("motorcycle")], ["bicycle", "motorcycle"]),
    ],
)
def test_a_contradiction_stands_until_somebody_corrects_it(
    labels: list[Said], stand: list[str]
) -> None:
    assert [one.label for one in standing(labels)] == stand


def test_what_prepare_makes_of_a_set_is_new_images_and_reasons(
    bucket: Bucket, tmp_path: Path
) -> None:
    archive = render(tmp_path / "a.tar.gz", train_per_class=40, test_per_class=12)
    test = dict(cifar.read(archive))["test"]
    assert isinstance(test, cifar.Split)
    leaked = next(test.pixels(i) for i, fine in enumerate(test.labels) if fine == 8)
    bucket.capture(3, fresh=drawn(1), leak=write_png(leaked), doubted=drawn(2), settled=drawn(3))
    bucket.capture(2, junk=b"%PDF-1.7")
    for name in ("fresh", "leak", "doubted", "settled", "junk", "unknown"):
        bucket.label(name, "bicycle")
    for name in ("doubted", "settled"):
        bucket.label(name, "motorcycle")
    bucket.label("settled", "motorcycle", correction=True)
    found, _ = bucket.gather()
    prefix, folder = found.url.removeprefix(f"s3://{BUCKET}/"), tmp_path / "labelled"
    folder.mkdir()
    for item in bucket.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        name = item["Key"].removeprefix(prefix)
        (folder / name).write_bytes(bucket.read(found, name))
    output = tmp_path / "out"
    arguments = ["--input", str(archive), "--output", str(output), "--labelled", str(folder)]
    prepare.main(arguments)
    record = json.loads((output / "dataset/dataset.json").read_text())["labelled"]
    assert {i["inference_id"]: i["label"] for i in record["images"]} == {
        "fresh": "bicycle",
        "settled": "motorcycle",
    }
    reasons = [(c["inference_id"], c["reason"].partition(":")[0]) for c in record["quarantined"]]
    assert reasons[:2] == [("doubted", "labelled two ways")] * 2
    assert reasons[2] == ("junk", "no image")
    assert reasons[3][1].startswith("the same image is in test")
    assert reasons[4] == ("unknown", UNKNOWN.partition(":")[0])


def drawn(seed: int) -> bytes:
    """A vehicle that is in no archive."""
    file = io.BytesIO()
    Image.fromarray(draw("bicycle", np.random.default_rng(500 + seed))).save(file, "PNG")
    return file.getvalue()


def test_a_correction_that_was_written_is_read_as_one(bucket: Bucket) -> None:
    bucket.capture(1, a=png(12))
    bucket.label("a", "bicycle")
    bucket.label("a", "motorcycle", by="Žofie")
    _, rows = bucket.gather()
    assert {row["label"] for row in rows} == {"bicycle", "motorcycle"}
    bucket.label("a", "motorcycle", correction=True)
    _, (row,) = bucket.gather()
    assert row["label"] == "motorcycle"
    assert len(labelled.collected(BUCKET, bucket.s3)) == 3
