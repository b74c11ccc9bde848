"""The places releases live in; `accelzoo.hub` is the public page."""
