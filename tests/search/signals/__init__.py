"""Tests of `accelzoo.search.signals`."""
