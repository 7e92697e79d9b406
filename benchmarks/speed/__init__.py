"""Likeness and its peers measured side by side, on the same photos, in one run (`make bench`)."""
