"""PRF5xx: databases: round trips and commits per row, connections and cursors left open, errors passed over."""
