"""The posterior of a fit: answers about customers and segments, and the model file.

| module | what it is for |
| --- | --- |
| `posterior` | `Posterior`: answers about customers and segments, with intervals |
| `fit` | what a fit consists of, and what it says about itself |
| `answers` | the same answers as functions of posterior draws, for many customers |
| `one_customer` | P(alive) and P(purchase) of one customer, for the service |
| `comparison` | segments compared, with credible intervals |
| `futures` | what customers who are alive will do, for many states and all draws |
| `mixtures` | answers as mixtures over segments and fresh starts, within each draw |
| `outcomes` | purchases and their value, sampled: one outcome for each draw |
| `count_distribution` | P(0), P(1), P(2), … purchases of a customer, without sampling |
| `discounting` | horizon, discount rate and margin, and the discounting of purchases |
| `estimates` | the answer about one customer |
| `segment_names` | the name of a segment that a caller sends |
| `totals` | totals over the customers of each named segment, draw by draw |
| `state_groups` | distinct cases in groups and blocks, which answers are computed for |
| `unlike` | whether a log is unlike the one that the model was fitted to |
| `log_states` | customers of a log counted by segment and state, in the log's engine |
| `every_answer` | all answers about each customer of a table |
| `scores` | all answers about each customer of a log, in the log's engine; writes them |
| `score_files` | files of scores: writes them, recognises them, counts their rows |
| `draws` | reads parameters from a tree of posterior draws |
| `diagnostics` | the sampler's diagnostics, their limits, and the verdict |
| `fit_record` | the data and settings of a fit |
| `choices` | what a fit chose for its user, and the figures that it chose by |
| `artifact` | the model file: writes it, reads it, and refuses a damaged one |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
