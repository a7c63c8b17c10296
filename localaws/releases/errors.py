"""CodePipeline's own errors. https://docs.aws.amazon.com/codepipeline/latest/APIReference/."""

from localaws.errors import ApiError


class InvalidStructure(ApiError):
    code, status = "InvalidStructureException", 400


class NameInUse(ApiError):
    code, status = "PipelineNameInUseException", 400


class NoPipeline(ApiError):
    code, status = "PipelineNotFoundException", 400


class NoExecution(ApiError):
    code, status = "PipelineExecutionNotFoundException", 400


class NotStoppable(ApiError):
    code, status = "PipelineExecutionNotStoppableException", 400


class NoStage(ApiError):
    code, status = "StageNotFoundException", 400


class NoAction(ApiError):
    code, status = "ActionNotFoundException", 400


class BadToken(ApiError):
    code, status = "InvalidApprovalTokenException", 400


class Completed(ApiError):
    code, status = "ApprovalAlreadyCompletedException", 400


class TooMany(ApiError):
    code, status = "ConcurrentPipelineExecutionsLimitExceededException", 400
