"""The hierarchical Gamma–Gamma model of spend, partially pooled across segments.

| module | what it is for |
| --- | --- |
| `table` | the sums over a log that its likelihood uses |
| `model` | the model in PyMC |
| `density` | its log-density and gradient as NUTS walks on them |
"""
