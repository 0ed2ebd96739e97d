"""What detag needs of the world, as small protocols; beside each, the in-memory fake that passes the same tests."""
