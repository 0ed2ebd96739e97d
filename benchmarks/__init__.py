"""What detag costs, measured: `make bench`. Times are benchmarks, never test assertions; counts are tests."""
