"""What the rules about exposed debugging share: addresses, guards, routes, values followed one step."""
