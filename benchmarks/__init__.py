"""Measurements: how long the work takes, how much memory, and how that compares with the peers.

Every module with a ``measure`` is a command that prints tables, ``python -m benchmarks.fit``;
``python -m benchmarks`` runs them all. Each case runs in a process of its own, the peers in an
environment of their own, ``.venv-peer``, in the same run.

=================  =====================================================================
`harness`          runs a case in a fresh process or in the peers' environment, takes its peak
`report`           tables for people (Rich), programs (JSON) and ``RESULTS.md``
`calibration`      is no measurement of time: ``make sbc``, whether intervals are right
`data`             simulated logs and fitted models that several benchmarks share
`peer`             what runs in the peers' environment, and its pins
=================  =====================================================================
"""
