"""Accuracy: labelled pairs, error rates with their uncertainty, and the report."""
