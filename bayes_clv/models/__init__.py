"""BG/NBD and Gamma–Gamma as formulas: pure functions of arrays, without labels or files.

| module | what it is for |
| --- | --- |
| `bgnbd` | purchases: P(alive), expected purchases, the likelihood |
| `reactivation` | purchases of customers who come back |
| `gammagamma` | spend per purchase |
| `priors` | the priors, on scales without units |
| `hyperparameters` | from η to r, α, a and b; draws from the priors |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
