"""The shell of live sessions: what performs the core's effects, and the bounds over all of them."""
