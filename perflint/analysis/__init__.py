"""What is known about a piece of code, and the engine that asks the rules."""
