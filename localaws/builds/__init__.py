"""CodeBuild that builds: a project's buildspec, run over its sources by the package `buildspec`.

A project and a request go in; phases, a log stream, reports, exported variables and artifacts in S3
come out.

    service         the service: its wire, its parts
      projects        projects, checked and kept
      builds          builds: start, describe, list, stop; what a kill left is a FAULT afterwards
      report_groups   groups of test reports, and their reports
    run             one build, in a thread and a folder of its own
    sources         the zip that a build starts from and the one that it leaves

A build reads its sources and writes its artifacts with its service role's credentials, and its
commands have them too. Differences from AWS: no image is pulled and nothing is walled off, the
commands run with this machine's programs and this process's Python before them; sources come from
S3 (or CodePipeline, or there are none); a caller may not do without a role that can be assumed, and
neither may CreateProject, as on AWS.
"""
