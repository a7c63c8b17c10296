"""CodePipeline that releases: a version of the source goes through the stages, one after the other.

A pipeline's definition and a request to start it go in; builds, questions to people and the states
of stages and actions come out.

    service        the service: its wire, its parts
      definitions    pipelines, checked and kept
      executions     what is asked about executions, and done to them
    engine         the executions that are under way, a thread each: who may enter which stage
    actions        what an action does: an S3 source, a CodeBuild build, a person's approval
    variables      `#{variables.NAME}` and `#{namespace.NAME}` in an action's configuration

An execution is kept with each change of its state, so a kill in the midst of an approval loses
nothing. A new pipeline starts itself, and a rule of EventBridge starts one when its source changes.
Differences from AWS: what a rule starts says StartPipelineExecution for its trigger; a stage lets
the next execution in when its own one has left; to stop an execution ends a waiting approval at
once. What is not there is refused by name: other sources and providers, polling of a source,
conditions, PARALLEL, roles and regions of single actions.
"""
