"""CodeBuild's buildspec, read and run on this machine as CodeBuild runs it.

A buildspec (version 0.2), a folder of sources and environment variables go in; the commands' output
line by line, the phases, and an `Outcome` come out.

    spec     the file, checked: what CodeBuild would refuse, and what is not done here, is refused
    shell    one shell for all commands, so that `cd` and `export` last, as version 0.2 has it
    build    the phases in their order: which follows a failed one, `finally`, `on-failure`
    files    the files that artifacts and reports name; test reports in JUnit's format

`scones ci` and the embedded AWS's CodeBuild are its two users, so what passes the one passes the
other. It knows neither.

Sources: "Build specification reference", "Build phase transitions" and "Environment variables in
build environments", https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html.

Differences from CodeBuild: no image is pulled, the commands run with this machine's programs;
`runtime-versions` and `cache` are read and have no effect; a stop and a timeout begin with an
interrupt, so that a command can end what it has started, before everything is killed.
"""

from buildspec.build import Build, Outcome, PhaseResult
from buildspec.files import Report
from buildspec.spec import Buildspec, BuildspecError, read

__all__ = ["Build", "Buildspec", "BuildspecError", "Outcome", "PhaseResult", "Report", "read"]
