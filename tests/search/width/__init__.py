"""Tests of the width search."""
