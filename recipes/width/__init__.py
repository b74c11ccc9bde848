"""Recipes of kind `width`: uniform, greedy and optimal channel widths of one network, compared in one run."""
