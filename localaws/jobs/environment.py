"""The environment variables that a job's program starts with, and no others.

As on SageMaker: what its images set, what the platform sets, the role's credentials, and the
request's own. Two are added: `AWS_ENDPOINT_URL`, so that boto3 in the job reaches this embedded
AWS, and how threads wait for each other. Nothing of the server's environment leaks in but what pip
and TLS need to get out.
"""

import os
from pathlib import Path

from localaws.jobs import python_environment
from localaws.jobs.spec import JobSpec

# How this machine reaches the package index, which a SageMaker host reaches directly.
_NETWORK_PREFIXES = ("PIP_", "SSL_CERT_", "REQUESTS_CA_", "CURL_CA_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


CREDENTIALS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})


def build(spec: JobSpec, endpoint_url: str) -> dict[str, str]:
    """The whole environment of a job."""
    return build_from(spec.credentials, spec.environment, endpoint_url)


def build_from(
    credentials: dict[str, str], variables: dict[str, str], endpoint_url: str
) -> dict[str, str]:
    """The whole environment. The request's variables win over all others, as with Docker."""
    return {
        "PATH": python_environment.search_path(),
        "HOME": "/tmp",  # private, on the job's volume; the images' /root is the machine's here
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # as the framework images set them
        "PYTHONIOENCODING": "UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Jobs share this machine's cores: a thread that waits must not take another's turn. With
        # something else running, training is five times as fast; alone, a tenth slower.
        "OMP_WAIT_POLICY": "PASSIVE",
        **_network(),
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
        **variables,
    }


def _network() -> dict[str, str]:
    found = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_NETWORK_PREFIXES) or name.lower() in _PROXIES
    }
    settings = Path.home() / ".config" / "pip" / "pip.conf"
    if "PIP_CONFIG_FILE" not in found and settings.is_file():
        found["PIP_CONFIG_FILE"] = str(settings)  # pip looks below HOME, which is private
    return found
