"""The decisions: no network, thread, clock, randomness or log. Imports numpy and itself only."""
