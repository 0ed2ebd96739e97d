"""The pages and pictures of `docs/` that are drawn from the code: `make docs` draws them, a test compares them."""
