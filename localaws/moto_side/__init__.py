"""moto, made to last: what is put into it is there after a restart, or after a kill.

moto emulates S3, IAM, STS, Logs, CloudFormation, Step Functions, EventBridge, CloudWatch, SNS, SQS,
KMS and more, in the memory of one process. In comes a request that is not SageMaker's, or a call
from a component beside us; out goes moto's answer, and the change is on its way to the disk:

    wsgi         hands requests to moto; refuses by name what moto lacks
    s3, records  objects: the bytes in `blobs`, a row each in the `journal`, written before the
                 answer leaves
    logs         log events: appended to the journal within a second
    state        every other service: `pickles` of what changed, all together within a second;
                 `executions` and `policies` are what needs rules of its own there;
                 `resumption` lets the executions that were running go on
    objects      S3 for the components in this process, without HTTP
    events       events of those components, to the rules of EventBridge

The classes of `s3` and `logs` take the place of moto's own, because moto has no seam for storage.
They lean on moto's inner names, so moto is pinned to one version and each name is under test.
"""

from localaws import descriptions

descriptions.share()  # here, because every import of moto by the server comes through here first
