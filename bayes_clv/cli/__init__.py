"""The command line: commands, their shared options, tables for the terminal.

| module | what it is for |
| --- | --- |
| `commands` | the program: puts the commands together |
| `fit` | the command that fits a model |
| `predict` | the command that scores customers |
| `segments` | the command that compares segments |
| `backtest` | the command that compares forecasts |
| `model` | the commands that diagnose and serve a model |
| `options` | arguments and options that several commands share |
| `log_options` | the options for reading a log, shared by all commands that read one |
| `figures` | the figures that commands write |
| `terminal` | output streams, progress bars, and errors as exit codes |
| `tables` | results as tables for the terminal |
| `backtest_tables` | results of backtests as tables for the terminal |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
