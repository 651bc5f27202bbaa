"""Tritone: speech to text for many people at once."""
