"""CodeBuild's own errors. https://docs.aws.amazon.com/codebuild/latest/APIReference/."""

from localaws.errors import ApiError


class InvalidInput(ApiError):
    code, status = "InvalidInputException", 400


class AlreadyExists(ApiError):
    code, status = "ResourceAlreadyExistsException", 400


class NotThere(ApiError):
    code, status = "ResourceNotFoundException", 400


def unless(lacking: set[str], what: str) -> None:
    """Refuses by name what is asked for and not there."""
    if lacking:
        names = ", ".join(sorted(lacking))
        raise InvalidInput(f"localaws does not implement {names} of {what}.")
