"""Checks of a posterior: against observed data, simulated truth and other priors.

| module | what it is for |
| --- | --- |
| `backtest` | which pooling predicts best, out of sample |
| `choice` | which segmentation forecasts the last third of a log best |
| `sbc` | simulation-based calibration: whether intervals cover at their level |
| `simulate` | simulated customers with known parameters, and their logs |
| `predictive_checks` | posterior predictive checks: a log compared with replications |
| `episodes` | purchases of each customer between successive landmarks |
| `sensitivity` | sensitivity to the priors: log densities for ArviZ |
| `unpooled` | each segment fitted to its own rows only |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
