"""Locust's users: who they are, what they say, and whether what they were told is right."""
