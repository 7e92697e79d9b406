"""Making and checking packs from networks of a user, and comparing packs with each other."""
