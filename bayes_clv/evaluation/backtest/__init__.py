"""Backtests: fit to the past, forecast, and compare the forecasts of several ways to pool.

| module | what it is for |
| --- | --- |
| `purchases` | `backtest`: forecasts of purchases, from rolling origins |
| `spend` | `backtest_money`: forecasts of customers' spend, from one origin |
| `methods` | the methods that are compared |
| `splits` | origins and horizons of the forecasts |
| `fits` | methods fitted to the past, each once |
| `fit_and_score` | forecasts with one method or a mixture from one origin, and scores |
| `stacking` | the weights of the mixture that forecasts best |
| `watched` | frequent customers gone silent, and cells of the RFM grid: shares who bought |
| `forecasts` | forecasts of purchases, scored against observations |
| `scoring_rules` | proper scores and calibration of predicted counts |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
