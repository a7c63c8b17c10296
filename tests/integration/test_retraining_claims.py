"""The claims of retraining on a real S3: of requests at the same moment one becomes a run."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.conftest import LocalAws
from tests.retraining_kit import World

Json = dict[str, Any]
AT_ONCE, ROUNDS = 8, 20


def test_of_conditional_writes_at_the_same_moment_one_wins(local_aws: LocalAws) -> None:
    s3, bucket = local_aws.client("s3"), f"claims-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    barrier = threading.Barrier(AT_ONCE)

    def claim(number: int, key: str) -> str:
        body = b"%d " % number + bytes(100_000)
        barrier.wait()
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            return str(error.response["Error"]["Code"])
        return f"won by {number}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for key in map(str, range(ROUNDS)):
            outcomes = list(pool.map(claim, range(AT_ONCE), [key] * AT_ONCE))
            won = [outcome for outcome in outcomes if outcome.startswith("won")]
            assert len(won) == 1, outcomes
            assert outcomes.count("PreconditionFailed") == AT_ONCE - 1
            kept = s3.get_object(Bucket=bucket, Key=key)["Body"].read().split()[0].decode()
            assert won == [f"won by {kept}"]


def test_of_requests_at_the_same_moment_one_starts(local_aws: LocalAws) -> None:
    world = World(local_aws.client("s3"), f"storm-{uuid.uuid4().hex[:8]}")
    world.label("a", "b", "c")
    barrier = threading.Barrier(AT_ONCE)

    def ask(number: int) -> Json:
        barrier.wait()
        return world.ask(event_id=f"event-{number}")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(ask, range(AT_ONCE)))
    assert [one["decision"] for one in found].count("started") == 1
    assert len(world.pipelines.started) == 1
    assert {one["run"] for one in found} == {1, None}
