"""The hierarchical Gamma–Gamma model of spend, partially pooled across segments.

| module | what it is for |
| --- | --- |
| `table` | all that its likelihood needs to know of a log, by one query |
| `model` | the model in PyMC |
| `density` | its log-density and gradient as NUTS walks on them |
"""
