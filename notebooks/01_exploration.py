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
# # What is in this log, and is it enough to learn about churn?
#
# Before any model is fitted: which rows were kept, when people buy, who comes back, what they spend,
# and whether that is enough to learn from.
#
# Everything runs on your own log if you change the next cell.

# %%
DATA = "cdnow"  # or a file of your own: "orders.csv", "orders.parquet", "orders.xlsx"

# %%
# %matplotlib inline
import pandas as pd
from common import read, retailer, show

from bayes_clv import HierarchicalBetaGeo, customers, plots
from bayes_clv.data.adequacy import measure_log, shortcomings

transactions = read(DATA)
everyone = customers(transactions)
print(
    f"{transactions.source}: {len(everyone):,} customers, {transactions.start} to {transactions.end}"
)

# %% [markdown]
# ## Which rows were kept
#
# Every row of the file was either kept or rejected for a reason that is counted here.


# %%
def ledger_of(log):
    ledger = log.ledger
    rows = {"read": ledger.rows_in}
    rows |= {f"rejected: {reason}": -count for reason, count in ledger.rejected}
    return pd.DataFrame({"rows": rows | {"kept": ledger.rows_kept}}).map("{:,}".format)


ledger_of(transactions)

# %% [markdown]
# ## When people buy
#
# First and repeat purchases by week, and the weekday of repeat purchases. The model knows neither
# season nor weekday, so its intervals do not cover a strong effect of either.

# %%
show(plots.plot_calendar(plots.calendar(transactions)))

# %% [markdown]
# ## Who comes back
#
# By month of first purchase (row): the share of customers that bought in each later month.

# %%
show(plots.plot_cohorts(plots.cohorts(transactions)))

# %% [markdown]
# Some customers, as lines from the first purchase to the end of the log, solid up to the last purchase.
# A long silence after many purchases means something else than after one.

# %%
show(plots.plot_exposure(everyone))

# %% [markdown]
# ## Recency, frequency, spend

# %%
show(plots.plot_customers(everyone))

# %%
repeat_buyers = everyone[everyone["frequency"] > 0]
pd.DataFrame(
    {
        "bought again": f"{len(repeat_buyers) / len(everyone):.0%}",
        "repeat purchases of these": f"{repeat_buyers['frequency'].mean():.1f}",
        "median days since the last purchase": f"{(everyone['T'] - everyone['recency']).median():,.0f}",
        "mean spend per repeat purchase": f"{repeat_buyers['monetary_value'].mean():,.2f}",
    },
    index=[transactions.source],
)

# %% [markdown]
# ## Is that enough?
#
# The figures that a fit depends on, and a warning for each that is too low.


# %%
def enough(log):
    data = HierarchicalBetaGeo().prepare(log)
    found = measure_log(data.states, data.landmarks, data.rule.names)
    for line in shortcomings(found) or ["Nothing is short."]:
        print(line)
    return pd.DataFrame(
        {
            "customers": f"{found.customers:,}",
            "bought again": f"{found.repeaters:,}",
            "days covered": f"{found.days:,.0f}",
            "days between purchases": f"{found.gap:,.0f}",
            "spend against frequency": f"{found.pearson or 0:+.2f} ({found.spearman or 0:+.2f} of ranks)",
        },
        index=[log.source],
    )


enough(transactions)

# %% [markdown]
# ## The same for a retailer
#
# Online Retail II is a year of a British gift shop; many of its customers are themselves shops. It has
# cancellations, bookkeeping lines and rows without a customer.

# %%
shop = retailer()
ledger_of(shop) if shop else None

# %%
show(plots.plot_calendar(plots.calendar(shop))) if shop else None

# %%
show(plots.plot_cohorts(plots.cohorts(shop))) if shop else None

# %%
enough(shop) if shop else None

# %% [markdown]
# ## What was found
#
# - **CDNOW**: 23,570 people who first bought in the first quarter of 1997; half never bought again, and the
#   cohorts' shares fall within months and then stay low. This is enough to learn from. What a customer
#   spends is hardly related to how often they buy.
# - **The retailer**: one row in four or five has no customer or is a cancellation; the ledger counts them.
#   Purchases rise steeply towards Christmas, which a model without a calendar cannot forecast. A fifth to a
#   third of a cohort buys in any month, even a year later: far less churn than among CDNOW's customers.
