"""The embedded SageMaker: what it really does, one module a resource.

A request arrives as the JSON that a client signed and sent, is checked against the service model
(`localaws.gateway`), and is handed to the component that has a method of the operation's name:
`CreateTrainingJob` → `create_training_job(request) -> response`. An operation without a method is
refused by its name. Components are made once, at start, from a `Context`.
"""
