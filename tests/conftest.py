"""Settings every test shares: one thread for each numeric library, and Ctrl-C as it is at a terminal."""

import os
import signal

# Before anything imports numpy or torch: both read these once, and two test runs may share two cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and processes that they start would, too.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
