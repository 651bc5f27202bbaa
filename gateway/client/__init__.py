"""The command-line client: an example of how to speak to the service over HTTP and WebSocket."""
