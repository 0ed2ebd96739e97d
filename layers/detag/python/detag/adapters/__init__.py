"""The ports, implemented on AWS and Runflow."""
