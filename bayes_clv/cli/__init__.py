"""The command line: commands, their shared options, tables for the terminal.

| module | what it is for |
| --- | --- |
| `commands` | parses, calls one use case, maps its errors to exit codes |
| `log_options` | the options that say how a log is read, for every command that reads one |
| `terminal` | what commands print to, their bars, and how errors end them |
| `tables` | results as tables for people |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
