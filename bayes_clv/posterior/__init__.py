"""The posterior of a fit: answers about customers and segments, and the model file.

| module | what it is for |
| --- | --- |
| `posterior` | `Posterior`: answers about customers and segments, with intervals |
| `fit` | what a fit consists of, and what it says about itself |
| `answers` | the same answers as functions of posterior draws, for many customers or one |
| `comparison` | segments compared, with credible intervals |
| `measures` | P(alive), P(purchase), expected and sampled purchases, for blocks of states |
| `count_distribution` | P(0), P(1), P(2), … purchases of a customer, without sampling |
| `value` | customer value: discounted purchases times spend, expected and sampled |
| `discounting` | horizon, discount rate and margin, and the discounting of purchases |
| `estimates` | the answer about one customer |
| `segment_names` | the name of a segment that a caller sends |
| `state_groups` | distinct states in groups and blocks, which answers are computed for |
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
