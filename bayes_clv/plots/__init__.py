"""Figures: which segments are leaving, how certain this is, and whether to trust the model.

Functions named ``plot_…`` draw results that another function has computed. They draw on the given
axes, or on those of a new figure that pyplot does not manage, and return the axes: show the figure
with ``axes[0].figure`` in a notebook, save it with ``axes[0].figure.savefig(path)``.

| module | what it is for |
| --- | --- |
| `exploration` | the log: weeks, weekdays, cohorts, customers |
| `comparison` | segments: P(alive), share buying again, pairwise probabilities; value at risk |
| `profile` | segments: recency, frequency, spend, sizes |
| `n_segments` | criteria for the number of segments |
| `frequency_recency` | P(alive), P(purchase), expected purchases over frequency and recency |
| `customer_history` | one customer, day by day |
| `exposure` | many customers: first to last purchase, and time since |
| `rates_and_dropout` | purchase rates and probabilities of leaving, by segment |
| `prior_posterior` | prior against posterior |
| `pooling` | estimates of segments alone and partially pooled |
| `tracking` | repeat purchases over time; those of a new customer |
| `purchase_counts` | purchases per customer, in the data of the fit and in a holdout |
| `backtests` | gains over pooled, reliability |
| `sbc` | a calibration study |
| `style` | colours, font sizes, axes |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
