r"""Customers whose truth is known, and the logs that they leave.

There are two grains of time. The model's is continuous: :func:`simulate_lives` (BG/NBD and MBG/NBD)
and :func:`simulate_landmarks` (the landmark model, where segments live by parameters of their own)
give states (x, t_x, T) whose likelihood is exactly that of :mod:`bayes_clv.models.bgnbd` and of the
landmark table. Logs are daily: :func:`simulate_transactions` puts the same lives on a calendar.

What is random goes through one function, :func:`live_on`, which lives from a time at which a
customer's (alive, λ, p) is known to a later one.

==============  ==================================================================
`lives`         BG/NBD and MBG/NBD lives
`landmarks`     lives of the landmark model: a sequence of them, with the past kept
`logs`          lives on the calendar: transaction logs, in memory or in a file
==============  ==================================================================
"""

from bayes_clv.simulate.landmarks import (
    LandmarkLives,
    Segmented,
    draw_latents,
    simulate_landmarks,
)
from bayes_clv.simulate.lives import Lives, Purchases, live_on, simulate_lives
from bayes_clv.simulate.logs import (
    Scenario,
    Simulated,
    Spend,
    simulate_chunks,
    simulate_transactions,
    write_transactions,
)

__all__ = [
    "LandmarkLives",
    "Lives",
    "Purchases",
    "Scenario",
    "Segmented",
    "Simulated",
    "Spend",
    "draw_latents",
    "live_on",
    "simulate_chunks",
    "simulate_landmarks",
    "simulate_lives",
    "simulate_transactions",
    "write_transactions",
]
