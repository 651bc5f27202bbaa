"""Measures a running service: benchmarks beside other systems, and load."""
