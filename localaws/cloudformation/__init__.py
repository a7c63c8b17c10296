"""CloudFormation that does what it says: moto's engine, with what it leaves out or pretends.

A template goes in; resources of moto and of our own SageMaker come out. moto reads the template,
resolves its functions and keeps the stacks. Added here:

    types        which resource types and properties are supported; anything else fails the stack
                 by its name before a resource is made, where moto would say CREATE_COMPLETE
    resources    sets the properties that moto ignores, through the service's own API, so that they
                 are checked as anybody's call is; takes them back on deletion
    by_api       types that moto lacks or gets wrong, by their service's API: `*_types`, by service
    resource_map the resources of a stack, and what an update changes of them
    stacks       a failure rolls back and says why, as the service does: ROLLBACK_COMPLETE,
                 UPDATE_ROLLBACK_COMPLETE, DELETE_FAILED; change sets
    engine       puts these parts into moto, and has it read a template as data, not as code

The cost: an update removes what left the template before it adds what is new (AWS cleans up last),
and a change that needs another physical resource is refused rather than made.
"""

from localaws.cloudformation.engine import fail_interrupted, install

__all__ = ["fail_interrupted", "install"]
