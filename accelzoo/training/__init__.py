"""The parts of the training loop; the public page is `accelzoo.train`."""
