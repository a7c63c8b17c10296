"""What happened in a window of traffic, as one HTML file that a person reads.

    observations     what the endpoint was asked and said, as plain data ─► arrays (`Answers`)
      ├─ difference      is one class answered less surely, and is that chance?
      ├─ reliability     with labels: how often right, and may the confidence be believed?
      ├─ distributions   statistics.json of baseline and traffic ─► shares that can be compared
      ├─ violations      constraint_violations.json ─► one plain sentence each
      ├─ looked          an occlusion map ─► a small picture: where the network looked
      └─ thumbnails      the images that were least sure, decoded within bounds
    figures, labelled, panels     the pictures, in the look that `style` gives them; `pictures`
                                  draws those that there is data for
    summary          the window in a few sentences
    page             all of it through template.html ─► report.html and figures/*.png

They are the questions that the original project ended with: is the doubt about one of the classes
chance, how many more answers would settle it, and would balanced traffic change it?

The report needs no capture store, no AWS and no clock: it is handed a `ReportInput` and the same
input gives the same bytes. Ids, file names and images come from callers of the endpoint, so they
are strangers' data: text is cleaned and escaped, and an image is embedded only after it was decoded
and encoded anew. The name of the data set stands wherever an accuracy does.
"""

from monitoring.report.observations import Observation, ReportInput, Window
from monitoring.report.page import write
from monitoring.report.thumbnails import least_sure

__all__ = ["Observation", "ReportInput", "Window", "least_sure", "write"]
