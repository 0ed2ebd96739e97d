"""detag: product photos in, the same photos without price tags out."""
