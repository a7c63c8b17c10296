"""Somebody else's training script: fits a line through the origin, with a package of their own."""

import argparse
import csv
import json
import os
import pathlib

from tinyfit import slope  # comes from requirements.txt

parser = argparse.ArgumentParser()
parser.add_argument("--shrink", type=float)
parser.add_argument("--label", type=str)
args = parser.parse_args()
channel = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"])
points = [
    (float(x), float(y)) for path in channel.rglob("*.csv") for x, y in csv.reader(path.open())
]
fitted = slope(points) * args.shrink
print(f"slope={fitted:.3f};", flush=True)
model = {"slope": fitted, "label": args.label, "hyperparameters": json.loads(os.environ["SM_HPS"])}
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps(model))
