"""The figures to show: which segments are leaving, how sure we are, and whether to believe it.

A function draws what another has computed, on the axes that it is given or on those of a new figure
that belongs to no window, and returns them: show it with ``axes[0].figure`` in a notebook, keep it
with ``axes[0].figure.savefig(path)``.

===============  ===================================================================
`exploration`    the log: weeks, weekdays, cohorts, customers
`comparison`     segments: P(alive), who buys again, who churns more than whom; value at risk
`profile`        segments: recency, frequency, spend, sizes
`choice`         how many segments
`matrix`         P(alive), P(purchase), expected purchases over frequency and recency
`history`        one customer, day by day
`exposure`       many customers, as lines
`heterogeneity`  purchase rates and chances of leaving, by segment
`learnt`         prior against posterior; segments alone against partially pooled
`tracking`       repeat purchases over time; those of a new customer
`counts`         purchases per customer, in the fit's data and held out
`backtests`      gains over pooled, reliability
===============  ===================================================================
"""

from bayes_clv.plots.backtests import plot_gains, plot_reliability
from bayes_clv.plots.choice import plot_n_segments
from bayes_clv.plots.comparison import (
    plot_pairwise_churn,
    plot_segment_comparison,
    plot_value_at_risk,
)
from bayes_clv.plots.counts import plot_purchase_counts, plot_purchases_by_state
from bayes_clv.plots.exploration import (
    calendar,
    cohorts,
    plot_calendar,
    plot_cohorts,
    plot_customers,
)
from bayes_clv.plots.exposure import plot_exposure
from bayes_clv.plots.heterogeneity import heterogeneity, plot_heterogeneity
from bayes_clv.plots.history import alive_history, plot_alive_history
from bayes_clv.plots.learnt import plot_prior_posterior, plot_shrinkage, shrinkage
from bayes_clv.plots.matrix import plot_state_matrix, state_matrix
from bayes_clv.plots.profile import plot_segment_profile, segment_profile
from bayes_clv.plots.tracking import new_customer, plot_new_customer, plot_tracking

__all__ = [
    "alive_history",
    "calendar",
    "cohorts",
    "heterogeneity",
    "new_customer",
    "plot_alive_history",
    "plot_calendar",
    "plot_cohorts",
    "plot_customers",
    "plot_exposure",
    "plot_gains",
    "plot_heterogeneity",
    "plot_n_segments",
    "plot_new_customer",
    "plot_pairwise_churn",
    "plot_prior_posterior",
    "plot_purchase_counts",
    "plot_purchases_by_state",
    "plot_reliability",
    "plot_segment_comparison",
    "plot_segment_profile",
    "plot_shrinkage",
    "plot_state_matrix",
    "plot_tracking",
    "plot_value_at_risk",
    "segment_profile",
    "shrinkage",
    "state_matrix",
]
