"""The decisions: no network, thread, clock, randomness or log. Imports numpy, itself, and of the standard library what has none of these."""
