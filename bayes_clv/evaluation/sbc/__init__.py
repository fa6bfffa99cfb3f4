"""Simulation-based calibration of the whole procedure, from the priors to the answers.

| module | what it is for |
| --- | --- |
| `study` | `calibrate`: simulates many datasets from the priors and fits each |
| `design` | what is simulated, how it is fitted, which answers are checked |
| `simulated_data` | parameters drawn from the priors, and customers simulated with them |
| `replicates` | one dataset, its fit, the ranks and the coverage |
| `rank_uniformity` | whether ranks are uniform: a band for their whole ECDF |
| `results` | results of all replicates, and the verdict |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
