"""What detag knows, in pure Python: no AWS, no HTTP, no clock, no environment."""
