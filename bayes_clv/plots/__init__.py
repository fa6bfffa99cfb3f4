"""The figures to show: which segments are leaving, how sure we are, and whether to believe it.

A function draws what another has computed, on the axes that it is given or on those of a new figure
that belongs to no window, and returns them: show it with ``axes[0].figure`` in a notebook, keep it
with ``axes[0].figure.savefig(path)``.

| module | what it is for |
| --- | --- |
| `exploration` | the log: weeks, weekdays, cohorts, customers |
| `comparison` | segments: P(alive), who buys again, who churns more than whom; value at risk |
| `profile` | segments: recency, frequency, spend, sizes |
| `n_segments` | how many segments |
| `frequency_recency` | P(alive), P(purchase), expected purchases over frequency and recency |
| `customer_history` | one customer, day by day |
| `exposure` | many customers, as lines |
| `rates_and_dropout` | purchase rates and chances of leaving, by segment |
| `prior_posterior` | prior against posterior |
| `pooling` | segments alone against partially pooled |
| `tracking` | repeat purchases over time; those of a new customer |
| `purchase_counts` | purchases per customer, in the fit's data and held out |
| `backtests` | gains over pooled, reliability |
| `sbc` | a calibration study |
| `style` | colours, letters, frames |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
