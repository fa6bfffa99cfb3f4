"""Which pooling predicts best: fit to the past, forecast, and compare.

| module | what it is for |
| --- | --- |
| `purchases` | `backtest`: purchases, from rolling origins |
| `spend` | `backtest_money`: what customers spend, from one origin |
| `methods` | the methods that are compared |
| `splits` | origins and horizons |
| `fit_and_score` | one method at one origin: fits, forecasts, scores |
| `forecasts` | forecasts of purchases, scored by what was observed |
| `scoring_rules` | proper scores and calibration of predicted counts |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
