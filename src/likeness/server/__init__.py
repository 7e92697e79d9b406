"""The HTTP server: one POST for the operation, a few GETs for those who run it. `workers.run` is the way in."""
