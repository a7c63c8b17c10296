"""Fixtures that several units need: moto's AWS, small prepared images, an embedded SageMaker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from lambdas.clients import client
from steps import prepare
from tests import archives
from tests.unit.job_kit import Machine


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty AWS in this process."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client.cache_clear()
    with mock_aws():
        yield
    client.cache_clear()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Prepare makes of a small archive. For reading only."""
    folder = tmp_path_factory.mktemp("prepared")
    archive = archives.good_archive(folder / "small.tar.gz")
    prepare.main(["--input", str(archive), "--output", str(folder / "out")])
    return folder / "out"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "machine")
    yield machine
    machine.close()
