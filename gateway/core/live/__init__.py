"""One live session without I/O: what it hears, remembers, sends to the model and tells, and its limits."""
