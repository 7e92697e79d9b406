"""Likeness: CompareFaces that you run yourself."""
