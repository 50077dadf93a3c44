"""PRF7xx: debugging that others can reach, and tracing that never stops."""
