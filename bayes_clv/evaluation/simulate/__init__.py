"""Simulated customers with known parameters, and their transaction logs.

Time has two resolutions. In the model it is continuous: :func:`simulate_lives` (BG/NBD and MBG/NBD)
and :func:`simulate_landmarks` (the landmark model, in which segments have their own parameters)
give states (x, t_x, T) whose likelihood is exactly that of :mod:`bayes_clv.models.bgnbd` and of the
landmark table. Logs are daily: :func:`simulate_transactions` puts the same histories on a calendar.

All purchases and departures are simulated by one function, :func:`live_on`. It starts at a time at
which a customer's (alive, λ, p) is known and ends at a later one.

| module | what it is for |
| --- | --- |
| `lives` | histories of the BG/NBD and MBG/NBD, in continuous time |
| `landmarks` | histories of the landmark model, in which segments have their own parameters |
| `logs` | histories on the calendar: transaction logs, in memory or in a file |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
