"""Tests of accelzoo.hwmodel.oracles."""
