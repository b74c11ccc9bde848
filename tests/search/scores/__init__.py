"""Zero-cost scores."""
