"""The data: from what a user asks for to an archive in S3 that the pipeline can read.

In flows one word, path or address (`--data`, SCONES_DATA) or nothing at all; out flows the address
of one archive in CIFAR-100's "python version" layout, and a sentence that says which data it is.

1. `sources.resolve` decides which archive is meant. A newcomer has neither an account nor 169 MB
   to spare, so it works without an answer: it takes the best that can be had here and says which.
2. `download` fetches an archive from the web into a cache, over lines that break.
3. `rendered` draws a set of its own where there is no way out (`scenes`, `vehicles`; `layout`
   writes it as CIFAR-100's authors did), so that all the rest runs unchanged.
4. `stage.stage` puts the archive where the pipeline's `InputDataUrl` points, once for each content.

A data set is named by its bytes, never by its file's name: a figure that was measured on drawn
images must not pass for a CIFAR figure. Every failure is a `DatasetError` of one sentence.
"""

from scones.datasets.dataset import Dataset, DatasetError
from scones.datasets.sources import resolve
from scones.datasets.stage import Staged, stage, staged

__all__ = ["Dataset", "DatasetError", "Staged", "resolve", "stage", "staged"]
