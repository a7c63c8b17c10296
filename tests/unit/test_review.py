"""`scones review`: nothing is lost from the queue, and the page answers its person alone."""

import http.client
import io
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
import numpy as np
import pytest
from PIL import Image

from scones import review
from scones.review_page import Page
from scones.review_queue import Item, Review

BUCKET = "scones-prod-data"
Json = dict[str, Any]


def png(side: int = 32) -> bytes:
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class Desk:
    """A review queue with records, and the labels that were written."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.sqs = boto3.client("sqs", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.url = self.sqs.create_queue(QueueName="review")["QueueUrl"]
        self.labels: list[tuple[str, str]] = []

    def put(self, *inference_ids: str, image: bytes | None = None) -> None:
        for inference_id in inference_ids:
            key = f"photos/{inference_id}.png"
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=image or png())
            record = {
                "s3_bucket": BUCKET,
                "s3_key": key,
                "inferences": [0.55, 0.45],
                "predicted_class": "bicycle",
                "confidence": 0.55,
                "inference_id": inference_id,
                "model_package_arn": "arn",
                "execution": "e",
            }
            self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(record))

    def session(self, *known: str, write: Any = None) -> Review:
        keep = write or self.labels.extend
        return Review(self.url, self.sqs, self.s3, 256, keep, set(known), look_seconds=0)

    def counts(self) -> tuple[int, int]:
        """How many messages wait, and how many are hidden."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(names))
        waiting, hidden = (int(found["Attributes"][name]) for name in names)
        return waiting, hidden


@pytest.fixture
def desk(aws: None) -> Desk:
    return Desk()


def taken(session: Review) -> Item:
    item = session.next()
    assert item is not None
    return item


def test_a_label_is_written_before_its_record_leaves_the_queue(desk: Desk) -> None:
    desk.put("a")
    seen: list[tuple[int, int]] = []

    def write(labels: list[tuple[str, str]]) -> None:
        seen.append(desk.counts())
        desk.labels.extend(labels)

    with desk.session(write=write) as session:
        session.label(taken(session), "motorcycle")
    assert seen == [(0, 1)]
    assert desk.labels == [("a", "motorcycle")]
    assert desk.counts() == (0, 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_gives_everything_back(desk: Desk, error: type[BaseException]) -> None:
    desk.put("a", "b")

    def interrupted() -> None:
        with desk.session() as session:
            taken(session)
            taken(session)
            assert desk.counts() == (0, 2)
            raise error

    with pytest.raises(error):
        interrupted()
    assert desk.counts() == (2, 0)


def test_a_label_that_cannot_be_written_leaves_its_record_in_the_queue(desk: Desk) -> None:
    desk.put("a")

    def write(labels: list[tuple[str, str]]) -> None:
        raise OSError("the bucket does not answer")

    with pytest.raises(OSError, match="does not answer"), desk.session(write=write) as session:
        session.label(taken(session), "bicycle")
    assert desk.counts() == (1, 0)


def test_what_somebody_has_labelled_already_is_not_asked_again(desk: Desk) -> None:
    desk.put("known", "twice", "twice")
    with desk.session("known") as session:
        item = taken(session)
        assert item.inference_id == "twice"
        session.label(item, "bicycle")
        assert session.next() is None
    assert desk.labels == [("twice", "bicycle")]
    assert desk.counts() == (0, 0)


@pytest.mark.parametrize("body", ["no json", "[]", '{"inference_id": "x"}'])
def test_a_message_that_is_no_record_is_passed_over_and_kept(desk: Desk, body: str) -> None:
    desk.sqs.send_message(QueueUrl=desk.url, MessageBody=body)
    desk.put("a")
    with desk.session() as session:
        assert taken(session).inference_id == "a"
    assert desk.counts() == (2, 0)


def test_the_keys_label_skip_and_quit(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.put("a", "b", "c", "d")
    monkeypatch.setattr(sys, "stdin", io.StringIO("b\nwhat?\nm\ns\nq\n"))
    with desk.session() as session:
        review._ask(session, 100)
    assert [name for _, name in desk.labels] == ["bicycle", "motorcycle"]
    assert desk.counts() == (2, 0)
    assert "bicycle 0.550, motorcycle 0.450; inference " in capsys.readouterr().out


def test_the_end_of_the_input_quits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("a")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with desk.session() as session:
        review._ask(session, 100)
    assert (desk.labels, desk.counts()) == ([], (1, 0))


def test_an_image_that_is_gone_is_said_and_may_be_skipped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.put("a")
    desk.s3.delete_object(Bucket=BUCKET, Key="photos/a.png")
    monkeypatch.setattr(sys, "stdin", io.StringIO("s\nq\n"))
    with desk.session() as session:
        review._ask(session, 100)
    assert f"s3://{BUCKET}/photos/a.png is not there" in capsys.readouterr().out
    assert desk.counts() == (1, 0)


def test_a_picture_in_text_has_two_pixels_a_character() -> None:
    image = Image.new("RGB", (2, 2))
    image.putdata([(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)])
    file = io.BytesIO()
    image.save(file, "PNG")
    (line,) = review.half_blocks(file.getvalue(), 2).splitlines()
    assert line == (
        "\x1b[38;2;255;0;0m\x1b[48;2;0;0;255m▀\x1b[38;2;0;255;0m\x1b[48;2;9;9;9m▀\x1b[0m"
    )
    assert len(review.half_blocks(png(100)).splitlines()) == 32


@contextmanager
def served(session: Review) -> Iterator[Page]:
    with Page(session) as page:
        thread = threading.Thread(target=page.serve)
        thread.start()
        try:
            yield page
        finally:
            page.stop()
            thread.join()


def ask(
    page: Page,
    method: str = "GET",
    path: str | None = None,
    form: Json | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], str]:
    address = urlsplit(page.address)
    assert address.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", address.port or 0, timeout=10)
    body = urlencode(form) if form else None
    connection.request(method, path or address.path, body, headers)
    answer = connection.getresponse()
    found = (answer.status, dict(answer.headers), answer.read().decode())
    connection.close()
    return found


def test_the_page_shows_the_image_and_takes_one_answer_for_it(desk: Desk) -> None:
    desk.put("a/<b>")
    with desk.session() as session, served(session) as page:
        status, headers, text = ask(page)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "a/&lt;b&gt;" in text
        assert "<b>" not in text
        assert re.search(r'src="data:image/png;base64,[A-Za-z0-9+/=]+"', text)
        assert "0.550" in text
        assert not re.search(r"https?://", text), "nothing is loaded from elsewhere"
        form = {"inference_id": "a/<b>", "answer": "motorcycle"}
        for _ in range(2):
            status, headers, _ = ask(page, "POST", form=form)
            assert (status, headers["Location"]) == (303, urlsplit(page.address).path)
        assert "Nothing waits" in ask(page)[2]
    assert desk.labels == [("a/<b>", "motorcycle")]
    assert desk.counts() == (0, 0)


def test_a_skipped_image_gives_way_to_the_next_and_goes_back(desk: Desk) -> None:
    desk.put("a", "b")
    with desk.session() as session, served(session) as page:
        first = re.search(r'value="([ab])"', ask(page)[2])
        assert first
        ask(page, "POST", form={"inference_id": first[1], "answer": "skip"})
        second = re.search(r'value="([ab])"', ask(page)[2])
        assert second
        assert second[1] != first[1]
    assert (desk.labels, desk.counts()) == ([], (2, 0))


def test_who_lacks_the_secret_or_comes_from_elsewhere_is_answered_nothing(desk: Desk) -> None:
    desk.put("a")
    form = {"inference_id": "a", "answer": "bicycle"}
    with desk.session() as session, served(session) as page:
        ask(page)
        for change in (
            {"path": "/"},
            {"path": "/guess/"},
            {"Host": "evil.example"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ):
            status, _, text = ask(page, "POST", form=form, **change)
            assert status == 404, change
            assert urlsplit(page.address).path not in text
        assert ask(page, "POST", form={"answer": "x" * 5000})[0] == 400
        for wrong in ({**form, "inference_id": "b"}, {**form, "answer": "tandem"}):
            ask(page, "POST", form=wrong)
        assert desk.labels == []
        ask(page, "POST", form=form, Origin=f"http://{page.host}")
    assert desk.labels == [("a", "bicycle")]
