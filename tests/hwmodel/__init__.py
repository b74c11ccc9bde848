"""Tests of accelzoo.hwmodel."""
