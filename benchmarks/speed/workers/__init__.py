"""Scripts that run in the environments of the contestants."""
