"""PRF8xx: the garbage collector: run too often, switched off for good, tuned without a limit, fed ballast."""
