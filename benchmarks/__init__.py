"""Measurements: time, memory and accuracy, also of the peers.

Every module with a ``measure`` is a command that prints tables, such as ``python -m
benchmarks.fit``; ``python -m benchmarks`` runs all but `engines`, `shops` and `soundness`.
Each case runs in a process of its own; the peers run in the same run, in an environment of their
own, ``.venv-peer``.

=================  =====================================================================
`harness`          runs a case in a fresh process or in the peers' environment; peak memory
`report`           tables for people (Rich), programs (JSON) and ``RESULTS.md``
`calibration`      ``make sbc``: whether intervals are right; it does not measure time
`data`             logs and fitted models that several benchmarks share
`boosting`         gradient boosting on earlier landmarks, which `shops` compares with
`peer`             the scripts that run in the peers' environment, and its pins
=================  =====================================================================
"""
