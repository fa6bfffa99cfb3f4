"""Customers whose truth is known, and the logs that they leave.

There are two grains of time. The model's is continuous: :func:`simulate_lives` (BG/NBD and MBG/NBD)
and :func:`simulate_landmarks` (the landmark model, where segments live by parameters of their own)
give states (x, t_x, T) whose likelihood is exactly that of :mod:`bayes_clv.models.bgnbd` and of the
landmark table. Logs are daily: :func:`simulate_transactions` puts the same lives on a calendar.

What is random goes through one function, :func:`live_on`, which lives from a time at which a
customer's (alive, λ, p) is known to a later one.

| module | what it is for |
| --- | --- |
| `lives` | BG/NBD and MBG/NBD lives, in continuous time |
| `landmarks` | lives of the landmark model, where segments live by their own parameters |
| `logs` | lives on the calendar: transaction logs, in memory or in a file |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
