"""Things that happen after the answer: events, schedules, messages and asynchronous invocations.

    queue          entries on the disk until they are delivered: at least once, also after a kill
    targets        how each kind of target is called: Lambda, Step Functions, SQS, SNS, pipelines …
    rules          EventBridge: what matches a rule goes to its targets, transformed, with retries
                   and a dead-letter queue
    schedules      cron, rate and at expressions: the rules that have one, and EventBridge Scheduler
    topics         SNS to Lambda
    event_sources  SQS to Lambda

moto keeps the rules, schedules, topics and queues; it would deliver to some targets itself, at once
and with no second try, so its places for that are taken by the ones here.
"""
