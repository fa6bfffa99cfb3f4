"""What runs in the peers' environment: ``requirements.txt`` says what is in it.

Each module is a plain script, which reads its data from files and prints one line of JSON. It
imports nothing of this project but `benchmarks.harness`, which needs the standard library only.
"""
