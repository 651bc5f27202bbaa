"""The memory gate: a service under load for a long time, measured, judged and reported."""
