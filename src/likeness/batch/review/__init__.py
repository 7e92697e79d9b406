"""What a person needs to decide about pairs: pages with both faces of each, and the decisions read back."""
