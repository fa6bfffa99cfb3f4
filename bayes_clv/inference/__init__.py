"""Transactions in, posterior out: the landmark likelihood, the models in PyMC, and NUTS.

| module | what it is for |
| --- | --- |
| `estimator` | `HierarchicalBetaGeo`: transactions in, posterior out |
| `options` | the options of a model as callers may write them |
| `parts` | what a fit hands from one of its steps to the next |
| `landmarks` | the table (segment, frequency, recency, T) → weight, all that the model sees |
| `stretches` | the table of stretches between landmarks, for a model with reactivation |
| `fitting` | a table in, draws and their verdict out, by a ladder of ever more careful sampling |
| `sampling` | NUTS by nutpie |
| `convergence` | R-hat, effective sample size, divergences, E-BFMI |
| `hierarchy` | a hierarchy's own part of a log-density, whatever the likelihood |
| `coordinates` | the coordinates in which the posterior is nearly a standard normal |
| `c_function` | a compiled log-density as a C function, which NUTS calls without Python |
| `progress` | what a fit is doing, with a bar and the time that it takes |
| `purchases` | the model of purchases: in PyMC, and as NUTS walks on it |
| `spend` | the model of spend, likewise |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
