"""Serve AWS on 127.0.0.1: ``python -m local.emulator --state FOLDER`` with the interpreter of ``.venv/emulator``.

Prints its URL once it accepts requests, and writes ``emulator.json`` (endpoint_url, access_key, secret_key, pid,
ca_bundle) to the state folder, for its owner's eyes. It answers only what is signed with these keys, made for this run.
SIGTERM and SIGINT stop it; this also stops its function processes and deletes its temporary files.
"""

import argparse
from pathlib import Path

from . import server


def main() -> None:
    """Read the options and serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m local.emulator", description="AWS on 127.0.0.1, for detag.")
    parser.add_argument("--state", type=Path, required=True, help="folder for its logs, process list and scratch files")
    parser.add_argument("--runtime-python", type=Path, required=True, help="interpreter of the function processes")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--region", default="us-east-1", help="the region it emulates (default: us-east-1)")
    parser.add_argument(
        "--processes", type=int, default=0, help="maximum number of processes of a function (default: by cores)"
    )
    parser.add_argument(
        "--function-env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an environment variable for every function process (may be repeated)",
    )
    parser.add_argument("--auth", action="store_true", help="check signatures and enforce roles and policies")
    parser.add_argument("--tls", action="store_true", help="serve https with a certificate made for this run")
    parser.add_argument("--as-released", action="store_true", help="MiniStack without patches: only for their tests")
    options = parser.parse_args()
    server.run(
        server.Options(
            state=options.state.resolve(),
            runtime_python=options.runtime_python.absolute(),
            port=options.port,
            region=options.region,
            processes=options.processes,
            function_env=dict(pair.split("=", 1) for pair in options.function_env),
            auth=options.auth,
            tls=options.tls,
            as_released=options.as_released,
        )
    )


if __name__ == "__main__":
    main()
