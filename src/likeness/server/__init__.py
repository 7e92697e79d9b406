"""The HTTP server: one POST for the operation, a few GETs for operators. `workers.run` is the entry point."""
