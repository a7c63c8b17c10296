"""`python -m scones`, and the `scones` command: the root with every command group."""

from scones import data, demo, deploy, local, models, pipeline
from scones.cli import main

main.add_command(demo.demo)
main.add_command(local.local)
main.add_command(deploy.deploy)
main.add_command(data.data)
main.add_command(pipeline.pipeline)
main.add_command(models.models)

if __name__ == "__main__":
    main(prog_name="scones")
