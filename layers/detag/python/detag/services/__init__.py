"""What each function does, written against the ports."""
