"""Rules that hold for both kinds of job request, beyond what the service model says."""

from collections import Counter

from localaws.errors import NotImplementedHere, ValidationError


def one_instance(count: int) -> None:
    """NotImplementedHere for a cluster."""
    if count != 1:
        raise NotImplementedHere(
            f"localaws runs one instance a job; InstanceCount is {count}. Set it to 1 here."
        )


def file_mode(name: str, mode: str | None) -> None:
    """Pipe is refused. FastFile is taken as File: the job sees the same files, all at once."""
    if mode == "Pipe":
        raise NotImplementedHere(f"localaws has no Pipe mode (input {name}); use File or FastFile.")


def unique(member: str, names: list[str]) -> None:
    """ValidationError when two items of a list carry one name."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValidationError(f"Names in {member} must be unique; given twice: {', '.join(twice)}.")


def session_name(job: str) -> str:
    """The name of the role session that a job runs in: `SageMaker`, as on AWS, cut to its limit."""
    return f"SageMaker-{job}"[:64]
