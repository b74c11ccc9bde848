"""Recipes of kind `product`: one baseline, several searches against it, and what each of them is worth when trained."""
