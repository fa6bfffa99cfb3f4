"""Churn and purchases of customers without contracts: hierarchical Bayesian BG/NBD.

Names are loaded when they are first used, so that a service that only answers never imports the
sampler.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
