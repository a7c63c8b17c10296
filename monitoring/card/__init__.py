"""The model card: what a registered version is, is for, can do, and cannot.

    Facts       what the registry, the training job and the evaluation say ─► plain data
      ├─ schema     ─► card.json, in the schema of SageMaker Model Cards
      └─ page       ─► card.html: the same for people, with plots and the images that it got wrong

`card.json` is what CreateModelCard takes as Content. The sentences about purpose and limits are the
project's and stand in `schema`; every figure comes from the version's own evaluation, and the name
of the data set stands beside each accuracy.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards.html#model-cards-json-schema.
"""

from monitoring.card.facts import Facts, Failure
from monitoring.card.page import write
from monitoring.card.schema import content

__all__ = ["Facts", "Failure", "content", "write"]
