"""Many clients at once, ordinary and hostile, against a server with the real engine: `make load`."""
