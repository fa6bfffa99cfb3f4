"""Scripts that run in the peers' environment, which has the packages of ``requirements.txt``.

Each module is a plain script, which reads its data from files and prints one line of JSON. It
imports nothing of this project but `benchmarks.harness`, which needs the standard library only.
"""
