"""Draws, the segment rule and the record of a fit: every answer, and the model file.

| module | what it is for |
| --- | --- |
| `posterior` | `Posterior`: answers about customers and segments, with intervals |
| `answers` | the same as functions of draws, for many customers or one |
| `comparison` | segments side by side, with intervals |
| `measures` | what is asked about customers, for blocks of states and all draws |
| `count_distribution` | P(0), P(1), P(2), … purchases of a customer, without sampling |
| `value` | what customers are worth: discounted purchases times spend, and drawn lives |
| `discounting` | horizon, discount rate and margin, and the discounting of purchases |
| `estimates` | what is answered about one customer |
| `state_groups` | distinct states in groups and blocks, the units of work of every answer |
| `log_states` | a log's customers by segment and state, counted where they are |
| `every_answer` | every answer about each of some customers |
| `scores` | the same about all customers of a log, made and kept where they are |
| `draws` | where the parameters stand in a tree of draws |
| `diagnostics` | the verdict on the draws: figures, rules, words |
| `fit_record` | where a posterior comes from |
| `artifact` | one file that holds a posterior: writes it, and refuses a damaged one |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
