"""From findings to changed text: pure functions that read no disk and write none."""
