"""Scripts that run in the environments of those who are measured."""
