"""The words everyone speaks: findings, source text and configuration. Imports nothing of ours."""
