"""The ports, kept by AWS and Runflow."""
