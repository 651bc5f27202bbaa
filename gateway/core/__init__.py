"""The decisions: no network, thread, clock, randomness or log. Imports numpy and what has none of these."""
