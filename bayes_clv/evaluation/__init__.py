"""Whether to believe a posterior: held against what came, against truth, against other priors.

| module | what it is for |
| --- | --- |
| `backtest` | which pooling predicts best, out of sample |
| `sbc` | simulation-based calibration: whether intervals cover what they say |
| `simulate` | customers whose truth is known, and the logs that they leave |
| `predictive_checks` | posterior predictive checks: a log, lived again |
| `episodes` | what customers did between one landmark and the next |
| `sensitivity` | whether the answers hang on the priors: what ArviZ needs to tell |
| `unpooled` | what each segment would say by itself |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
