"""`python -m scones`, and the `scones` command: the root with every command group."""

from scones import (
    ci,
    classify,
    cost,
    data,
    demo,
    deploy,
    deployments,
    endpoints,
    explain,
    label,
    local,
    models,
    monitor,
    pipeline,
    report,
    retraining,
    review,
)
from scones.cli import main

main.add_command(demo.demo)
main.add_command(local.local)
main.add_command(ci.ci)
main.add_command(deploy.deploy)
main.add_command(deploy.destroy)
main.add_command(cost.cost)
main.add_command(data.data)
main.add_command(pipeline.pipeline)
main.add_command(models.models)
main.add_command(deployments.deployments)
main.add_command(endpoints.endpoints)
main.add_command(classify.classify_command)
main.add_command(classify.replay)
main.add_command(explain.explain)
main.add_command(monitor.monitor)
main.add_command(label.label)
main.add_command(review.review)
main.add_command(retraining.retraining)
main.add_command(report.report)

if __name__ == "__main__":
    main(prog_name="scones")
