"""What each rule gains, measured."""
