"""The command line: commands, their shared options, tables for the terminal.

| module | what it is for |
| --- | --- |
| `commands` | the commands: each parses, calls one use case, prints the result |
| `log_options` | the options for reading a log, shared by all commands that read one |
| `terminal` | output streams, progress bars, and errors as exit codes |
| `tables` | results as tables for the terminal |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
