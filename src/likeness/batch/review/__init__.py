"""Review by people: pages with both faces of each pair, and reading their decisions."""
