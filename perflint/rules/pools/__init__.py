"""PRF4xx: worker pools: who survives a failure, who waits for whom, what a pool costs."""
