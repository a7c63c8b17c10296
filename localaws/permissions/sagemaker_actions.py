"""What SageMaker's operations need.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
"""

from localaws.permissions.actions import Keys, Parameters, every, table

_ANY = "(Create|Describe|Update|Delete|Start|Stop|Search)"


def _keys(given: Parameters) -> Keys:
    named = {
        "sagemaker:instancetypes": "InstanceType",
        "sagemaker:volumekmskey": "VolumeKmsKeyId",
        "sagemaker:outputkmskey": "KmsKeyId",
        "sagemaker:vpcsubnets": "Subnets",
        "sagemaker:vpcsecuritygroupids": "SecurityGroupIds",
        "sagemaker:modelapprovalstatus": "ModelApprovalStatus",
    }
    lists = {"sagemaker:instancetypes", "sagemaker:vpcsubnets", "sagemaker:vpcsecuritygroupids"}
    found: Keys = {}
    for key, member in named.items():
        values = every(given, member)
        if values:
            found[key] = values if key in lists else values[0]
    network = given.get("NetworkConfig") or {}
    isolated = given.get("EnableNetworkIsolation", network.get("EnableNetworkIsolation", False))
    encrypted = given.get(
        "EnableInterContainerTrafficEncryption",
        network.get("EnableInterContainerTrafficEncryption", False),
    )
    found["sagemaker:networkisolation"] = str(bool(isolated)).lower()
    found["sagemaker:intercontainertrafficencryption"] = str(bool(encrypted)).lower()
    return found


NEEDS = table(
    "sagemaker",
    {
        f"{_ANY}ProcessingJob": "processing-job/{ProcessingJobName}",
        f"{_ANY}TrainingJob": "training-job/{TrainingJobName}",
        f"{_ANY}HyperParameterTuningJob|ListTrainingJobsForHyperParameterTuningJob": (
            "hyper-parameter-tuning-job/{HyperParameterTuningJobName}"
        ),
        f"{_ANY}TransformJob": "transform-job/{TransformJobName}",
        f"{_ANY}Model": "model/{ModelName}",
        f"{_ANY}EndpointConfig": "endpoint-config/{EndpointConfigName}",
        "(Create|Update)Endpoint": (
            "endpoint/{EndpointName}",
            "endpoint-config/{EndpointConfigName}",
        ),
        f"{_ANY}Endpoint": "endpoint/{EndpointName}",
        "UpdateEndpointWeightsAndCapacities": "endpoint/{EndpointName}",
        "InvokeEndpoint": "endpoint/{EndpointName}",
        f"{_ANY}ModelPackageGroup": "model-package-group/{ModelPackageGroupName}",
        ".*ModelPackageGroupPolicy": "model-package-group/{ModelPackageGroupName}",
        "CreateModelPackage": (
            "model-package-group/{ModelPackageGroupName}",
            "model-package/{ModelPackageName}",
        ),
        "UpdateModelPackage": "model-package/{ModelPackageArn}",
        f"{_ANY}ModelPackage": "model-package/{ModelPackageName}",
        "(Create|Describe|Update|Delete)Pipeline|StartPipelineExecution|ListPipelineExecutions": (
            "pipeline/{PipelineName}"
        ),
        ".*PipelineExecution.*|ListPipelineParametersForExecution": (
            "pipeline-execution/{PipelineExecutionArn}"
        ),
        f"{_ANY}MonitoringSchedule": "monitoring-schedule/{MonitoringScheduleName}",
        f"{_ANY}DataQualityJobDefinition": "data-quality-job-definition/{JobDefinitionName}",
        "AddTags|DeleteTags|ListTags": "{ResourceArn}",
        "List[A-Z].*": "*",
    },
    passed_to="sagemaker.amazonaws.com",
    tag="AddTags",
    keys=_keys,
)
