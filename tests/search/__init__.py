"""Tests of `accelzoo.search`."""
