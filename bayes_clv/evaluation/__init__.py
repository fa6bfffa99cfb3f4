"""Whether to believe a posterior: compared with later data, with a known truth, with other priors.

| module | what it is for |
| --- | --- |
| `backtest` | which pooling predicts best, out of sample |
| `sbc` | simulation-based calibration: whether intervals have their nominal coverage |
| `simulate` | simulated customers with known parameters, and their logs |
| `predictive_checks` | posterior predictive checks: the episodes of a log, simulated again |
| `episodes` | what customers did between one landmark and the next |
| `sensitivity` | whether the answers depend on the priors: what ArviZ's power-scaling needs |
| `unpooled` | each segment fitted by itself |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
