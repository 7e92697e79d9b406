"""How right the answers are: labelled pairs, error rates with their uncertainty, and the report."""
