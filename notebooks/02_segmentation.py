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
# # Which segments: RFM rules or KMeans, and how many?
#
# Customers of one segment share parameters. Good segments are few enough to have many customers each,
# different enough to matter, and stable: another sample of the same shop should give the same segments.
#
# Everything runs on your own log if you change the next cell.

# %%
DATA = "cdnow"  # or a file of your own: "orders.csv", "orders.parquet", "orders.xlsx"

# %%
# %matplotlib inline
import numpy as np
import pandas as pd
from common import FAST, read, retailer, show

from bayes_clv import HierarchicalBetaGeo, KMeansSegmenter, RFMSegmenter, customers, plots
from bayes_clv.data.states import States
from bayes_clv.segments.n_segments import compare_n_segments

transactions = read(DATA)
everyone = customers(transactions)


def named(segmenter, frame):
    """Learn a rule, and return the segment of each customer."""
    rule = segmenter.fit(frame).rule_
    return pd.Series(np.array(rule.names)[rule.assign(States.from_frame(frame))], frame.index)


# %% [markdown]
# ## RFM rules
#
# Customers get scores for idle time, frequency and spend, by the log's own quantiles; the segments have
# the names that marketing uses.

# %%
rfm = named(RFMSegmenter(), everyone)
show(plots.plot_segment_profile(plots.segment_profile(everyone, rfm)))

# %% [markdown]
# ## KMeans: how many?
#
# Inertia always falls; look for a bend. The silhouette measures how well the clusters are separated.
# Stability measures how similar the segments of two resamples are (1: the same), with its 90% interval.

# %%
counted = compare_n_segments(everyone, range(2, 7 if FAST else 10), resamples=5 if FAST else 20)
show(plots.plot_n_segments(counted))

# %%
counted.style.format("{:,.2f}")

# %% [markdown]
# Five segments, profiled as above. They are named by their centroids.

# %%
kmeans = named(KMeansSegmenter(5), everyone)
show(plots.plot_segment_profile(plots.segment_profile(everyone, kmeans)))

# %% [markdown]
# ## Are they the same people?
#
# Each row shows how the customers of an RFM segment are distributed over the five KMeans segments; rows
# add up to 100%.

# %%
both = pd.crosstab(rfm.rename("RFM"), kmeans.rename("KMeans"), normalize="index")
both.style.format("{:.0%}").background_gradient(cmap="Blues", axis=None)

# %% [markdown]
# ## Do customers stay in their segment?
#
# Customers are assigned to a segment anew at every landmark. The table shows where the members of a
# segment at one landmark (row) are at the next (column). The fit learns from what they do in between.

# %%
data = HierarchicalBetaGeo().prepare(transactions)
states = data.states.select("customer_id", "landmark", "code").to_pandas()
states = states.sort_values(["customer_id", "landmark"])
names = np.array(data.rule.names)
then = states.groupby("customer_id")["code"].shift(-1)
moved = states.assign(then=then).dropna()
table = pd.crosstab(
    pd.Series(names[moved["code"]], name="at a landmark"),
    pd.Series(names[moved["then"].astype(int)], name="at the next"),
    normalize="index",
)
table.style.format("{:.0%}").background_gradient(cmap="Blues", axis=None)

# %% [markdown]
# ## The same for a retailer

# %%
shop = retailer()
who = customers(shop) if shop else None
show(
    plots.plot_segment_profile(plots.segment_profile(who, named(RFMSegmenter(), who)))
) if shop else None

# %%
show(plots.plot_n_segments(compare_n_segments(who))) if shop else None

# %% [markdown]
# ## What was found
#
# - **RFM rules**: CDNOW's champions are one customer in six and made two thirds of the repeat purchases.
#   Those who bought once, long ago, are more than half, in three segments by how long ago.
# - **KMeans** finds no number that stands out: inertia has no sharp bend, and the silhouette rises again
#   after three. At CDNOW four or more segments are stable under resampling; at the retailer no number is,
#   as the wide intervals show. Five is a compromise, not a discovery.
# - The two methods agree on the extremes and divide the middle differently. Geometry does not tell which
#   one predicts better: `05_backtest` compares both with what customers did afterwards.
# - **Segments describe a state, not a person**: from landmark to landmark most champions stay, while many at
#   risk become lost and few come back. A fit that assumed fixed membership would be misleading.
