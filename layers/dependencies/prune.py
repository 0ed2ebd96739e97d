"""Leaves out of the installed packages what the functions never load.

    python prune.py FOLDER

- Of botocore's models and its table of endpoints, all services but `SERVICES`: 19 MB, and a walk and a parse that cost
  every cold start. Partitions and regions all stay.
- boto3's resources, which nobody makes here.
- anyio, which only an asynchronous client needs, and which httpcore imports where it finds it.
- Botocore's own root certificates: it takes certifi's where that is there.
- The pages of Powertools' API browser, 1.7 MB that only its own HTTP resolver serves.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

SERVICES: Final = ("dynamodb", "events", "s3", "secretsmanager", "sqs")


def trimmed(endpoints: dict[str, Any]) -> dict[str, Any]:
    """Botocore's table of endpoints with these services only."""
    partitions = [
        partition | {"services": {name: partition["services"].get(name, {}) for name in SERVICES}}
        for partition in endpoints["partitions"]
    ]
    return endpoints | {"partitions": partitions}


def main(folder: Path) -> None:
    """Prune the packages in a folder. Raises FileNotFoundError where one of them is not as it was."""
    models = folder / "botocore" / "data"
    for name in SERVICES:
        next((models / name).glob("*/service-2.json*")).stat()
    for path in models.iterdir():
        if path.is_dir() and path.name not in SERVICES:
            shutil.rmtree(path)
    table = models / "endpoints.json"
    text = json.dumps(trimmed(json.loads(table.read_text(encoding="utf-8"))), separators=(",", ":"))
    table.write_text(text, encoding="utf-8")
    shutil.rmtree(folder / "boto3" / "data")
    (folder / "botocore" / "cacert.pem").unlink()
    for path in folder.glob("anyio*"):
        shutil.rmtree(path)
    for path in (folder / "aws_lambda_powertools/event_handler/openapi/swagger_ui").glob("*.min.*"):
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
