"""The hierarchical BG/NBD of purchases.

| module | what it is for |
| --- | --- |
| `model` | the model in PyMC, likelihood and all |
| `layout` | the landmark table, arranged for the likelihood |
| `likelihood` | the landmark log-likelihood and its gradient, fused into one pass |
| `density` | the log-density and its gradient as NUTS walks on them |
| `reactivating` | the same of a model with reactivation |
| `stretch_layout` | the table of stretches, arranged for their likelihood |
| `stretch_likelihood` | the likelihood of stretches that may start afresh, and its gradient |
"""
