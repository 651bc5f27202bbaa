"""What ends a measurement early, in one line."""


class BenchError(Exception):
    """Why nothing can be measured; the message is for the person at the terminal."""
