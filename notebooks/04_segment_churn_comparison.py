# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Which segments are leaving, how sure are we, and what should be done?
#
# Customers of a shop do not cancel: they just stop buying. This notebook compares segments by the
# probability that their customers are still alive and by the share that will buy again within 90 days.
# It shows how certain the ranking is and how much value is at stake, and ends with what to do.
#
# Everything runs on your own log if you change the next cell.

# %%
DATA = "cdnow"  # or a file of your own: "orders.csv", "orders.parquet", "orders.xlsx"

# %%
# %matplotlib inline
import numpy as np
import pandas as pd
from common import fit, read, show, with_interval

from bayes_clv import Dropout, Posterior, customers, plots

transactions = read(DATA)
posterior = fit(transactions)
everyone = customers(transactions)
record = posterior.record
print(f"{record.source}: {record.n_customers:,} customers, {record.start} to {record.end}")
print("The fit is sound." if posterior.diagnostics.sound else posterior.diagnostics.complaints)

# %% [markdown]
# ## Segment by segment
#
# Every customer is in an RFM segment by what is known today: days since the last purchase, number of
# purchases, spend. The model learned what members of that segment at earlier dates did *afterwards*.
# Left: the share of a segment that is still alive; right: the share that will buy within 90 days.

# %%
comparison = posterior.compare_segments()
show(plots.plot_segment_comparison(comparison))

# %% [markdown]
# In numbers, with 90% intervals. They cover the uncertainty about these *averages*, and are narrow if
# a segment has many customers.

# %%
table = comparison.table.sort_values("buys_again", ascending=False)
pd.DataFrame(
    {
        "customers": table["customers"].map("{:,}".format),
        "mean P(alive)": with_interval(table, "prob_alive", ".1%"),
        "buys again within 90 days": with_interval(table, "buys_again", ".1%"),
        "purchases within 90 days": with_interval(table, "expected_purchases", ".2f"),
    }
)

# %% [markdown]
# ## How certain is the ranking?
#
# For every pair: the probability that a smaller share of the row's segment than of the column's buys
# again. Dark means that the row is worse, white that it is better, and a middle blue that it is unclear.

# %%
show(plots.plot_pairwise_churn(comparison, "buys_again"))

# %% [markdown]
# The same for mean P(alive). If the two figures contradict each other, the next section explains why.

# %%
show(plots.plot_pairwise_churn(comparison, "prob_alive"))

# %% [markdown]
# ## The caveat: one-time buyers
#
# In BG/NBD a customer may leave only after a *repeat* purchase. Customers who bought once have had no
# chance to leave, so their P(alive) is 100%, however long the silence; the model explains the silence by a
# low purchase rate instead. In MBG/NBD they may leave after their first purchase, too. The fit takes the
# rule that the log speaks for. Never use P(alive) alone: look at P(purchase), too.
#
# The figures show both for a customer whose first purchase is as long ago as the average customer's, by
# the number of repeat purchases and the time of the last; bright means likely. Customers who bought once
# are in the lower left corner. The right panels show the uncertainty.

# %%
T = float(everyone["T"].mean())
show(plots.plot_state_matrix(plots.state_matrix(posterior, "prob_alive", T=T)))

# %%
show(plots.plot_state_matrix(plots.state_matrix(posterior, "prob_purchase", T=T)))

# %% [markdown]
# What do the two models say about one-time buyers, and about repeat buyers?

# %%
print(posterior.record.dropout.words)
(other_rule,) = set(Dropout) - {posterior.dropout}


def alive(model: Posterior) -> pd.Series:
    return model.probability_alive(everyone)["mean"]


def buys(model: Posterior) -> pd.Series:
    return model.probability_of_purchase(everyone, 90)["mean"]


both = sorted([posterior, fit(transactions, dropout=other_rule)], key=lambda it: it.dropout.value)
answers = pd.DataFrame(
    {"customers": np.where(everyone["frequency"] == 0, "one-time buyers", "repeat buyers")}
    | {f"P(alive), {it.dropout.model_name}": alive(it) for it in both}
    | {f"P(purchase in 90 days), {it.dropout.model_name}": buys(it) for it in both}
)
answers.groupby("customers").mean().style.format("{:.1%}")

# %% [markdown]
# P(alive) of one-time buyers depends on the definition; their P(purchase) hardly does. **Rank by the
# share that buys again.**
#
# ## One customer
#
# The two probabilities of one loyal customer over time: they fall during silence and rise with every
# purchase (ticks on top).

# %%
idle_time = everyone["T"] - everyone["recency"]
distance = (everyone["frequency"] - 8).abs() + (idle_time - 160).abs() / 20
example = everyone.loc[distance.idxmin(), "customer_id"]  # came back eight times, then silent
show(plots.plot_alive_history(plots.alive_history(posterior, transactions, example)))

# %% [markdown]
# ## What is it worth?
#
# What each segment's customers are expected to spend within a year, discounted at 10% a year, and what
# is *at risk*: what they would be worth if all of them were still alive, minus what they are expected to
# spend. Spend has a model of its own; its draws are combined with those of the purchases, so the intervals
# cover the uncertainty of both.

# %%
show(plots.plot_value_at_risk(comparison))

# %% [markdown]
# Averages hide differences between customers: how much of a segment's value comes from its best tenth?

# %%
value = posterior.customer_lifetime_value(everyone, 365)
by_segment = value.groupby("segment")["mean"]
worth = pd.DataFrame(
    {
        "customers": by_segment.size(),
        "median customer": by_segment.median(),
        "one in ten is worth at least": by_segment.quantile(0.9),
        "share of value from the best tenth": by_segment.apply(
            lambda it: it.nlargest(max(1, len(it) // 10)).sum() / it.sum()
        ),
    }
).reindex(comparison.table.sort_values("value_at_risk", ascending=False).index)
worth.style.format(
    {
        "customers": "{:,.0f}",
        "median customer": "{:,.0f}",
        "one in ten is worth at least": "{:,.0f}",
        "share of value from the best tenth": "{:.0%}",
    }
)

# %% [markdown]
# An expectation is not an outcome. Three customers (the first by expected value, one at the top 5% and one
# at the top 25%), with the interval of the expectation and that of what they will actually spend:

# %%
ranks = [0, len(value) // 20, len(value) // 4]
chosen = value["mean"].sort_values(ascending=False).index[ranks]
asked = everyone.loc[chosen]
outcome = posterior.sample_value(asked, 365)
pd.DataFrame(
    {
        "segment": value.loc[chosen, "segment"],
        "expected": value.loc[chosen, "mean"].map("{:,.0f}".format),
        "interval of the expectation": [
            f"{row.lower:,.0f} to {row.upper:,.0f}" for row in value.loc[chosen].itertuples()
        ],
        "interval of what will come": [
            f"{row.lower:,.0f} to {row.upper:,.0f}" for row in outcome.itertuples()
        ],
    }
)

# %% [markdown]
# ## What to do
#
# A rule, applied to the intervals rather than the means: leave customers alone if it is certain enough
# whether they buy; spend money if a purchase is uncertain; otherwise do only what costs next to nothing.


# %%
def advice(row: pd.Series) -> str:
    if row["buys_again_lower"] > 0.4:
        return "thank, do not discount: most come by themselves"
    if row["buys_again_upper"] < 0.1:
        return "do not pay per head: hardly anybody comes"
    if row["buys_again_lower"] > 0.2:
        return "win back now: alive, and undecided"
    return "only what costs next to nothing: an e-mail"


pd.DataFrame(
    {
        "customers": table["customers"].map("{:,}".format),
        "buys again within 90 days": with_interval(table, "buys_again", ".0%"),
        "what to do": table.apply(advice, axis=1),
    }
)

# %% [markdown]
# ## What was found
#
# For CDNOW at the end of June 1998:
#
# - **The ranking by who buys again is certain nearly everywhere.** Of the 2,634 champions 55% will buy
#   within 90 days (90% interval: 54% to 55%), of the 2,261 loyal 31%, of the potential loyal 27%. For all
#   pairs the order has a probability of more than 99%, except for "cannot lose them" (13%, 11% to 14%)
#   and hibernating (12%, 11% to 13%).
# - **The segments that are leaving are "at risk" and "cannot lose them".** Only 28% of their customers are
#   still alive, and the data do not tell which of the two leaves faster. The 2,901 at risk will still bring
#   46,000 dollars in a year (42,000 to 49,000), and would bring 129,000 more (109,000 to 150,000) if all
#   of them were alive.
# - **Of the 13,160 "lost" customers 14% are alive, and 4% will buy within 90 days.** How many are alive
#   depends on the definition: for those who bought once BG/NBD says 100%, since it does not let them leave,
#   and MBG/NBD, for which this log speaks, 14%. Their probability of buying hardly differs (4.6% and 3.7%):
#   rank by that.
# - **Nobody is given up for certain.** Between two landmarks about 7% of customers start afresh, whatever
#   their silence, so no P(alive) is below that.

# What to do:
#
# - *Champions*: most buy without being asked. Thank them; a discount would be wasted.
# - *Loyal, potential loyal, need attention*: the ones to win back. Two in three are alive, and one
#   in three to one in five will buy: here a push can decide, and the interval is two points wide.
# - *At risk, cannot lose them, about to sleep, hibernating*: only what costs next to nothing. The
#   name "cannot lose them" promises too much: seven in ten are gone.
# - *Lost*: do not pay per head. Without a campaign, one in twenty-six buys within 90 days.
#
# And keep a control group: the model says what will happen, not what a campaign would change.
