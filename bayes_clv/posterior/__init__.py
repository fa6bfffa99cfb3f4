"""Draws, the segment rule and the record of a fit: every answer, and the model file.

| module | what it is for |
| --- | --- |
| `posterior` | `Posterior`: answers about customers and segments, with intervals |
| `answers` | these answers as functions of draws, for many customers or one |
| `comparison` | segments side by side, with intervals |
| `measures` | P(alive), P(purchase), expected purchases: blocks of states × all draws |
| `count_distribution` | P(0), P(1), P(2), … purchases of a customer, without sampling |
| `value` | customer lifetime value: discounted purchases times spend, and simulated outcomes |
| `discounting` | horizon, discount rate and margin, and the discounting of purchases |
| `estimates` | the answer about one customer: means and intervals |
| `state_groups` | distinct states in groups and blocks, the units of work of every answer |
| `log_states` | the customers of a log by segment and state, counted in the log's engine |
| `every_answer` | all answers about a table of customers |
| `scores` | all answers about all customers of a log, computed and stored in its engine |
| `draws` | where the parameters stand in a tree of draws |
| `diagnostics` | the verdict on the draws: figures, rules, words |
| `fit_record` | where a posterior comes from |
| `artifact` | one file that holds a posterior: writes it, and refuses a damaged one |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
