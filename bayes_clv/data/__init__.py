"""From a raw transaction log to clean purchases, and from these to states of customers.

Logs stay in the engine that holds them; all queries go through Ibis.

| module | what it is for |
| --- | --- |
| `reading` | `read_transactions`: reads a log, returns its purchases and the ledger |
| `sources` | files, DataFrames, Ibis tables and databases behind one interface |
| `paths` | a file, a list, a folder or a pattern as files that DuckDB can read |
| `loading` | what reading a source gives, and the DuckDB that holds it |
| `text` | delimited text: every line read or counted |
| `encodings` | the encoding of a text file, and its lines |
| `fields` | the fields of a line, quotes, records that span lines |
| `header` | where the header is, and what separates the columns |
| `workbooks` | Excel workbooks: all sheets of one header |
| `parquet` | Parquet files and folders, time zones |
| `frames` | pandas DataFrames |
| `columns` | which column plays which role |
| `dates` | calendar days from date columns of any type |
| `date_formats` | formats of dates, and the day that a text names |
| `numbers` | how the numbers of a text column are written, and their values |
| `locales` | words of many languages: currencies and months |
| `ids` | ids of customers, exact |
| `cleaning` | which rows are purchases, and why each of the others is rejected |
| `settling` | the ledger, the purchases and the refunds of judged rows |
| `ledger` | rows in = rows kept + rows rejected, by reason |
| `stand_ins` | ids that mean nobody in particular |
| `suspicions` | too much that cannot be read; one customer, day or row that dominates a log |
| `far_days` | days that are not believed: after today, or far from all others |
| `findings` | one thing that may be wrong with a log, in one line |
| `report` | how a log was read: columns, notations, examples, warnings |
| `transactions` | `Transactions`: the log after cleaning |
| `given_log` | a log as a path, a table or `Transactions` |
| `engines` | the engines that may hold a log: connecting, and uploading a table |
| `rfm` | one row per customer per landmark, in one Ibis query |
| `states` | the states of customers on a date, the model's only input |
| `floats` | columns of a DataFrame as numbers: timedeltas become days |
| `given_customers` | customers as a DataFrame, another table or a log |
| `described` | a short text and an HTML table that say what an object is |
| `adequacy` | whether a log has enough data, and the figures that show it |
| `datasets` | CDNOW, which is part of the package |
| `targets` | what an output may replace: never an input |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
