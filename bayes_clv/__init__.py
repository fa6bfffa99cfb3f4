"""Churn and purchases of customers without contracts: hierarchical Bayesian BG/NBD.

Names are imported on first use, so that the service, which only predicts, never imports the
sampler.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
