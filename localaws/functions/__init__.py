"""Lambda that runs: the deployed zip, by AWS's own runtime client, in a process that stays warm.

A request of Lambda's REST API goes in; what the function answered comes out.

    wire            the REST API, by the service model
    api             the service: finds the component that answers an operation
      functions     functions: create, read, update, delete, tags (`settings` checks and builds
                    what a function is configured with)
      versions      published versions and aliases
      permissions   the resource policy
      layers        layers and their versions
      asynchronous  what is known of invocations that nobody waits for: retries, destinations
      invoking      Invoke
    code            zip archives, checked and unpacked below the server's folder
    fleet           the warm processes of each function: one is taken or started per invocation
    instance        one process: the sandbox, `runtime_api` (what `awslambdaric` talks to), its log

An asynchronous invocation is an entry of `localaws.delivery`'s queue, so a kill does not lose it.
Differences from AWS: ten processes a function at most, then invocations wait; memory is reported,
not limited; retries of asynchronous invocations follow after seconds instead of minutes.
"""
