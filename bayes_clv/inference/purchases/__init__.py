"""The hierarchical BG/NBD of purchases.

| module | what it is for |
| --- | --- |
| `model` | the model in PyMC, likelihood and all |
| `layout` | the landmark table, arranged for the likelihood |
| `likelihood` | the landmark log-likelihood and its gradient, fused into one pass |
| `density` | the log-density and its gradient as NUTS walks on them |
| `stretch_layout` | the table of stretches, arranged for the likelihood |
| `stretch_likelihood` | the log-likelihood of stretches that may start afresh, likewise fused |
| `reactivating` | the log-density of the model with reactivation |
"""
