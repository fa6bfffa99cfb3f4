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
# # How does an application get answers?
#
# From a log to a model file, from the file to a service, and from the service to answers in Python: the
# steps that another program would take, in the same order.

# %%
DATA = "cdnow"  # or a file of your own: "orders.csv", "orders.parquet", "orders.xlsx"

# %%
# %matplotlib inline
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pandas as pd
from common import FAST, fit, read, show

from bayes_clv import customers, load_posterior
from bayes_clv.plots.style import BLUE, band, dress, in_percent, label, new_axes

# %% [markdown]
# ## Fit, and save the model in a file
#
# One file holds the draws, the segment rule and a description of the fit. It holds no customer and no code.

# %%
transactions = read(DATA)
folder = Path(tempfile.mkdtemp())
path = folder / "model.clv"
fit(transactions).save(path)
model = load_posterior(path)  # checks the whole file
print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, version {model.version}")

# %% [markdown]
# ## Serve it
#
# This is what `bayes-clv serve model.clv` does in a terminal; here on a free port, in a process of its own.

# %%
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
command = [Path(sys.executable).with_name("bayes-clv"), "serve", path, "--port", str(port)]
if FAST:  # a model of few draws is not sound, and would be refused
    command.append("--allow-unsound")
service = subprocess.Popen(command, stderr=subprocess.DEVNULL)


def ask(route, body=None):
    """GET a route, or POST `body` as JSON; return the status and the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{route}", data, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


while service.poll() is None:
    try:
        status, ready = ask("/health/ready")
        break
    except OSError:
        time.sleep(0.5)
ready

# %% [markdown]
# ## One customer
#
# Thirty repeat purchases in a hundred days, then 115 days without one.

# %%
ask("/predict", {"frequency": 30, "recency": 100, "T": 215})

# %% [markdown]
# ## Many customers
#
# Up to a thousand at once, answered in numbers; if the request has `value`, also with what each is worth.

# %%
few = customers(transactions).sample(5, random_state=1)
columns = ["customer_id", "frequency", "recency", "T", "monetary_value"]
batch = {"customers": few[columns].to_dict("records"), "horizon_days": 90, "value": {"margin": 0.3}}
status, answer = ask("/v1/predictions", batch)
predictions = answer["data"]["predictions"]
pd.DataFrame(
    [
        {
            "customer": row["customer_id"],
            "segment": row["segment"],
            **{
                name: "{mean:.2f} ({lower:.2f} to {upper:.2f})".format(**row[name])
                for name in ("prob_alive", "prob_purchase", "expected_purchases")
            },
            "expected value, a year": "{mean:,.0f} ({lower:,.0f} to {upper:,.0f})".format(
                **row["expected_value"]
            ),
        }
        for row in predictions
    ]
).set_index("customer")

# %% [markdown]
# The service gives the same answers as the file. Here are the same customers without the service.

# %%
here = model.probability_alive(few)["mean"]
there = [row["prob_alive"]["mean"] for row in predictions]
print(f"largest difference: {max(abs(here.to_numpy() - there)):.1e}")

# %% [markdown]
# ## What idle time does
#
# One batch asks about the same customer after more and more days without a purchase.

# %%
days = list(range(0, 181, 5))
silent = [{"frequency": 12, "recency": 200, "T": 200 + day} for day in days]
status, answer = ask("/v1/predictions", {"customers": silent, "horizon_days": 90})
rows = [row["prob_alive"] for row in answer["data"]["predictions"]]
(ax,) = new_axes(height=4.5)
mean, lower, upper = ([row[name] for row in rows] for name in ("mean", "lower", "upper"))
band(ax, days, lower, upper, BLUE, "90% interval")
ax.plot(days, mean, color=BLUE)
dress(ax, "P(alive) after 12 repeat purchases in 200 days", grid="y")
label(ax, "Days since the last purchase")
in_percent(ax.yaxis)
ax.set_ylim(0, 1.02)
show(ax)

# %% [markdown]
# ## When a request is wrong
#
# The answer names every wrong field, with the rule and the value.

# %%
for wrong in (
    {"customers": [{"frequency": 2.5, "recency": 10, "T": 5}]},
    {"customers": [{"frequency": 1, "recency": 1, "T": 5, "spent": 3}]},
):
    status, answer = ask("/v1/predictions", wrong)
    print(status, answer["reason"])

# %%
service.terminate()
print("left with", service.wait(timeout=30))

# %% [markdown]
# ## What was found
#
# - A model is one file, checked to the last bit before it answers; a service is one command.
# - The service's answers are the same as the file's, to the last digits.
# - A batch may also hold many questions about one customer, such as the effect of silence. The curve is
#   smooth, also where the customer moves to another segment.
# - Mistakes are answered in words. `GET /docs` of the running service has all routes, with commands to paste.
