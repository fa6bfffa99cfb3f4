"""Measurements that `make bench` runs: they print, and write nothing."""
