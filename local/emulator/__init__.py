"""AWS on one machine: MiniStack, patched where it differs from AWS, with a Lambda runtime of our own.

``python -m local.emulator`` (run with the interpreter of ``.venv/emulator``) serves it on 127.0.0.1; ``client`` starts
that from any other interpreter. See ``patches`` for what is changed in MiniStack and ``runtime`` for the functions.
"""
