"""PRF2xx: containers that are copied, shifted or rebuilt more often than needed."""
