"""What the rules about connections share: HTTP clients, what they return, how long resources live."""
