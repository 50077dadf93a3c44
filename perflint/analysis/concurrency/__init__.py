"""What the rules about tasks, threads, pools and queues ask: who spawns what, and what becomes of it."""
