"""Simulation-based calibration of the whole path, from the priors to the answers.

| module | what it is for |
| --- | --- |
| `study` | `calibrate`: many datasets from the priors, each fitted |
| `design` | what is simulated, how it is fitted, which answers are checked |
| `simulated_data` | parameters from the priors, and customers simulated with them |
| `replicates` | one dataset, its fit, the ranks and the coverage |
| `rank_uniformity` | whether ranks are uniform: a band for their whole ECDF |
| `results` | the results of all replicates, and the verdict |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
