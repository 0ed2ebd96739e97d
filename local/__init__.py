"""detag on one machine: the AWS emulator, the Runflow stand-in, the sample pictures, the demo."""
