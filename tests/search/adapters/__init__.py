"""Algorithms of other libraries, and what those libraries read of ours."""
