"""`python -m scones`, and the `scones` command: the root with every command group."""

from scones.cli import main

main.places = {
    "demo": "scones.demo:demo",
    "local": "scones.local:local",
    "ci": "scones.ci:ci",
    "deploy": "scones.deploy:deploy",
    "destroy": "scones.deploy:destroy",
    "cost": "scones.cost:cost",
    "data": "scones.data:data",
    "pipeline": "scones.pipeline:pipeline",
    "models": "scones.models:models",
    "deployments": "scones.deployments:deployments",
    "endpoints": "scones.endpoints:endpoints",
    "benchmark": "scones.benchmark:benchmark",
    "classify": "scones.classify:classify_command",
    "explain": "scones.explain:explain",
    "replay": "scones.classify:replay",
    "monitor": "scones.monitor:monitor",
    "label": "scones.label:label",
    "review": "scones.review:review",
    "retraining": "scones.retraining:retraining",
    "report": "scones.report:report",
}

if __name__ == "__main__":
    main(prog_name="scones")
