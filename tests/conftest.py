"""Settings every test shares: one thread for each numeric library, as the expected values assume."""

import os

# Before anything imports numpy or torch: both read these once, and two test runs may share two cores.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
