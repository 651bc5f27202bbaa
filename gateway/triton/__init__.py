"""What speaks with Triton."""
