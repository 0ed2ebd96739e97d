"""What detag needs from outside, as small protocols; beside each, the in-memory fake that passes the same tests."""
