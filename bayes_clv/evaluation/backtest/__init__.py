"""Backtests: fit to the past, forecast, and compare the forecasts of several ways to pool.

| module | what it is for |
| --- | --- |
| `purchases` | `backtest`: forecasts of purchases, from rolling origins |
| `spend` | `backtest_money`: forecasts of customers' spend, from one origin |
| `methods` | the methods that are compared |
| `splits` | origins and horizons of the forecasts |
| `fit_and_score` | fits one method at one origin, forecasts, and scores |
| `forecasts` | forecasts of purchases, scored against observations |
| `scoring_rules` | proper scores and calibration of predicted counts |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
