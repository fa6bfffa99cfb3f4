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
# Customers of a shop do not cancel: they fall silent. This notebook compares segments by the
# probability that their customers are still alive and by the share that will buy again within 90
# days, says how certain their order is, how many purchases are at stake, and ends with what to do.
#
# Everything runs on your own log if you change the next cell.

# %%
DATA = "cdnow"  # or a file of your own: "orders.csv", "orders.parquet", "orders.xlsx"

# %%
# %matplotlib inline
import numpy as np
import pandas as pd
from common import fit, read, show, with_interval

from bayes_clv import Dropout, customers, plots

transactions = read(DATA)
posterior = fit(transactions)
everyone = customers(transactions)
record = posterior.record
print(f"{record.source}: {record.n_customers:,} customers, {record.start} to {record.end}")
print("The fit is sound." if posterior.diagnostics.sound else posterior.diagnostics.complaints)

# %% [markdown]
# ## Segment by segment
#
# Every customer is in an RFM segment by what is known today: idle time, purchases, spend. The model
# has learnt from what such customers did *afterwards*, at earlier dates.
# Left: how many of a segment are still customers at all; right: how many will buy within 90 days.

# %%
comparison = posterior.compare_segments()
show(plots.plot_segment_comparison(comparison))

# %% [markdown]
# In numbers, with 90% intervals. They cover what the data leave unknown about these *averages*, and
# are narrow where there are many customers.

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
# ## How sure is the order?
#
# For every pair: the probability that a smaller share of the row's segment buys again. Dark means
# that the row is worse, white that it is better, and a middle blue that the data cannot decide.

# %%
show(plots.plot_pairwise_churn(comparison, "buys_again"))

# %% [markdown]
# The same for mean P(alive). Where the two figures contradict each other, the next section says why.

# %%
show(plots.plot_pairwise_churn(comparison, "prob_alive"))

# %% [markdown]
# ## The caveat: one-time buyers
#
# In a BG/NBD a customer may leave only after a *repeat* purchase. One-time buyers have had
# no chance to leave, so their P(alive) is 100%, however long their idle time; the model explains it by
# a low purchase rate instead. So P(alive) must never stand alone: beside it belongs P(purchase).
#
# Both, for a customer who first bought as long ago as the average one, by the number of repeat
# purchases and the time of the last: bright is likely. Look at the lower left corner, at
# the one-time buyers: certainly alive in the first figure, hardly ever to buy in the second. Steps
# are where one segment ends and the next begins; the right panels show where the answer is unsure.

# %%
T = float(everyone["T"].mean())
show(plots.plot_state_matrix(plots.state_matrix(posterior, "prob_alive", T=T)))

# %%
show(plots.plot_state_matrix(plots.state_matrix(posterior, "prob_purchase", T=T)))

# %% [markdown]
# MBG/NBD, the variant in which customers may leave after their first purchase too, gives another
# answer. How do the two models see one-time buyers, and repeat buyers?

# %%
mbg = fit(transactions, dropout=Dropout.AFTER_ANY)
answers = pd.DataFrame(
    {
        "customers": np.where(everyone["frequency"] == 0, "one-time buyers", "repeat buyers"),
        "P(alive), BG/NBD": posterior.probability_alive(everyone)["mean"],
        "P(alive), MBG/NBD": mbg.probability_alive(everyone)["mean"],
        "P(purchase in 90 days), BG/NBD": posterior.probability_of_purchase(everyone, 90)["mean"],
        "P(purchase in 90 days), MBG/NBD": mbg.probability_of_purchase(everyone, 90)["mean"],
    }
)
answers.groupby("customers").mean().style.format("{:.1%}")

# %% [markdown]
# P(alive) of one-time buyers is a matter of definition; their P(purchase) hardly is. **Rank by the
# share that buys again.**
#
# ## One customer
#
# How the two probabilities move for one loyal customer: down with idle time, up with every purchase
# (ticks on top). A step without a tick is a change of segment.

# %%
idle_time = everyone["T"] - everyone["recency"]
distance = (everyone["frequency"] - 8).abs() + (idle_time - 160).abs() / 20
example = everyone.loc[distance.idxmin(), "customer_id"]  # eight times back, then silent
show(plots.plot_alive_history(plots.alive_history(posterior, transactions, example)))

# %% [markdown]
# ## What is it worth?
#
# What each segment's customers are expected to spend within a year, discounted at 10% a year, and
# what is *at risk*: their value if all of them were still alive, minus that. Spend has a model of its
# own; its draws are paired with those of the purchases, so the intervals cover both.

# %%
show(plots.plot_value_at_risk(comparison))

# %% [markdown]
# The average is not the customer: how much of a segment's value does its best tenth bring?

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
# An expectation is not the outcome. Three customers, by expected spend, with the interval of the
# expectation and that of the outcome:

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
# A rule, applied to the intervals rather than the means: leave customers alone where the answer is
# sure; spend money where a purchase is in the balance; elsewhere only what costs nothing.


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
# - **The order by who buys again is certain nearly everywhere.** Of the 2,634 champions 55% will buy
#   within 90 days (90% interval: 55% to 56%), of the 2,261 loyal 32%, of the potential loyal 27%. All
#   pairs are decided with more than 99%, except for "cannot lose them": 13% (10% to 17%), which may
#   stand above or below its neighbours (hibernating: 67% to 33%).
# - **Those who are leaving are "at risk" and "cannot lose them".** Only 27% and 25% of them are
#   still alive. The data cannot decide which of the two leaves faster (66% to 34%). The 2,901 at risk
#   will still bring 50,000 dollars in a year (43,000 to 58,000) and would bring 137,000 more
#   (105,000 to 169,000) if all of them were alive: most of what is at risk in the shop.
# - **P(alive) of the 13,160 "lost" customers is 94%, the highest of all, and means nothing**: most of
#   them bought once, and a BG/NBD cannot let them leave. MBG/NBD says 11% instead of 100% for one-time
#   buyers, while their probability of buying hardly moves (2.3% for 3.0%). 3% of the lost will
#   buy: rank by that.
#
# What to do:
#
# - *Champions*: most come without being asked. Thank them; a discount would be given away.
# - *Loyal, potential loyal, need attention*: the ones to win back. Two in three are alive, and one
#   in three to one in five will buy: here a push can decide, and the interval is two points wide.
# - *At risk, cannot lose them, about to sleep, hibernating*: only what costs next to nothing. The
#   name "cannot lose them" promises more than is left: three in four are gone.
# - *Lost*: do not pay per head. Left alone, one in thirty buys within 90 days.
#
# And keep a control group: the model says what will happen, not what a campaign would change.
