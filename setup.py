"""Scones as a package: `pip install -e .[local,test]`. Exact versions: constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="scones-mlops",
    version="0.1.0",
    description="Image classification on Amazon SageMaker that runs itself",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(
        include=[
            f"{name}{rest}"
            for name in (
                "pipelines",
                "steps",
                "lambdas",
                "workflow",
                "monitoring",
                "service_model",
                "pipeline_definition",
                "buildspec",
                "localaws",
                "scones",
            )
            for rest in ("", ".*")
        ]
    ),
    install_requires=[
        "boto3>=1.43",
        "click>=8.1",
        "Jinja2>=3.1",
        "matplotlib>=3.9",
        "numpy>=2",
        "pillow>=11",
        "pydantic>=2.7",
        "PyYAML>=6",
        "requests>=2.32",
        "rich>=13",
        "scipy>=1.13",
        "sagemaker>=3.27,<4",
        "urllib3>=2",
    ],
    extras_require={
        # What the embedded AWS is made of, and what stands for the jobs' images.
        "local": [
            "awslambdaric>=4.2",
            "datasketches>=5.2",
            # Exactly: its state on disk is moto's own objects.
            "moto[cloudformation,events,iam,s3,server,stepfunctions,sts]==5.2.5",
            "psutil>=6",
            "pyarrow>=18",
            "torch==2.13.0",
        ],
        "test": [
            "awscli>=1.44",
            "cfn-lint>=1.40",
            "hypothesis>=6.150",
            "jsonschema>=4.20",
            "mypy>=1.18",
            "pandas>=2.2",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.14",
            "statelint>=3.1",
            "types-PyYAML",
            "types-requests",
        ],
    },
    package_data={
        "monitoring.report": ["base.html", "template.html", "macros.html", "look.css"],
        "monitoring.card": ["template.html"],
    },
    entry_points={"console_scripts": ["scones=scones.__main__:main"]},
)
