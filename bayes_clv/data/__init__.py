"""From a raw transaction log to clean purchases, and from these to states of customers.

Logs stay in the engine that holds them: what is asked about them is asked by Ibis.

| module | what it is for |
| --- | --- |
| `reading` | `read_transactions`: a log in, its purchases and the ledger out |
| `sources` | files, DataFrames, Ibis tables and databases behind one interface |
| `text` | delimited text: separators, encodings, and not one line lost |
| `columns` | which column plays which role |
| `dates` | calendar days from whatever a date column holds |
| `cleaning` | which rows are purchases, and the first fault of each that is not |
| `ledger` | rows in = rows kept + rows rejected, by reason |
| `transactions` | `Transactions`: the log that is left |
| `engines` | the engines that a log may live in: how to reach one, and to hand it a table |
| `rfm` | one row per customer per landmark, in one Ibis query |
| `states` | the state of customers on a date, all that the model looks at |
| `adequacy` | what a log is short of, and the figures that say so |
| `datasets` | CDNOW, which comes with the package |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
