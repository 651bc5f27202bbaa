"""The wire formats of live and posted speech: a client's messages as commands, a session's messages as JSON."""
