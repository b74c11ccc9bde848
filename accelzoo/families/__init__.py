"""Families of published and own networks, one file each; a file added here is found by itself."""

from accelzoo.families.base import Family, families

__all__ = ["Family", "families"]
