"""The whole of detag on one machine: emulator, mock Runflow, and the same template that goes to AWS, deployed."""

from .isolation import isolate
from .stack import Options, Stack, described, running

__all__ = ["Options", "Stack", "described", "isolate", "running"]
