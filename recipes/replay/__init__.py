"""A run made again from its lock: what is identical, and where it first is not."""
