"""PRF3xx: tasks, threads and queues without a bound, a reference or an end."""
