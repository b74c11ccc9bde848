"""Tests of `accelzoo.search.workers`."""
