"""detag on one machine: the AWS emulator, the mock Runflow, the sample photos, the demo."""
