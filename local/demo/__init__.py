"""The demo: photos in, outputs out, on a local stack that it starts and stops."""
