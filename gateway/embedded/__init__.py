"""A real tritonserver on this machine: obtained, checked, started, watched and ended."""
