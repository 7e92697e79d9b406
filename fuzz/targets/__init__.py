"""One module a target, with the constant TARGET."""
