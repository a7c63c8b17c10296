"""A last look at a definition before it is submitted: what AWS would refuse, or fail on later."""

from pipeline_definition.check import problems
from pipeline_definition.definition import DefinitionError, parse

__all__ = ["DefinitionError", "check"]


def check(definition: str) -> None:
    """Raises DefinitionError, naming every problem, when a definition (JSON) is not sound.

    Every reference resolves, every name is legal, nothing goes in circles, and each job request
    satisfies the service model with the parameters' defaults in their places.
    """
    if found := problems(parse(definition)):
        raise DefinitionError("The pipeline was not submitted: " + "; ".join(found) + ".")
