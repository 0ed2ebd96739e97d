"""Twenty ways to deploy: tests look at what each makes, and `make combinations` judges it by cfn-lint and the policies.

.venv/test/bin/python -m tests.template.combinations .build/combinations     # writes one template for each
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.template.stack import read_stack

BOUNDARY: Final = {"PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/limits"}
PATH: Final = {"RolePath": "/shop/photos/"}
MAIL: Final = {"AlarmEmail": "ops@example.com"}
TABLE: Final = {"JobTableName": "detag-JobTable-1A2B3C4D5E6F"}
INPUT: Final = {"InputBucketName": "shop"}
INCOMING: Final = {"InputPrefix": "crème & more/incoming/"}
OUTPUT: Final = {"OutputBucketName": "shop-outputs"}
CLEANED: Final = {"OutputPrefix": "cleaned/"}
ONE_BUCKET: Final = {**INPUT, **INCOMING, "OutputBucketName": "shop", **CLEANED}
INPUT_KEY: Final = {"InputKmsKeyArn": "arn:aws:kms:eu-central-1:111122223333:key/1a2b3c4d"}
OUTPUT_KEY: Final = {"OutputKmsKeyArn": "arn:aws:kms:eu-central-1:111122223333:key/5e6f7a8b"}
REPLACE: Final = {"OutputName": "replace"}

COMBINATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "defaults": {},
    "mail": MAIL,
    "boundary and path": {**BOUNDARY, **PATH},
    "a table that was left": TABLE,
    "a table that was left, with mail": {**TABLE, **MAIL},
    "an input bucket": INPUT,
    "an input bucket and a prefix": {**INPUT, **INCOMING},
    "an output bucket": OUTPUT,
    "an output bucket and a prefix": {**OUTPUT, **CLEANED},
    "two buckets": {**INPUT, **OUTPUT},
    "two buckets and two prefixes": {**INPUT, **INCOMING, **OUTPUT, **CLEANED},
    "one bucket": ONE_BUCKET,
    "one bucket, names that replace": {**ONE_BUCKET, **REPLACE},
    "prefixes of its own buckets": {**INCOMING, **CLEANED},
    "an input key": {**INPUT, **INPUT_KEY},
    "an output key": {**OUTPUT, **OUTPUT_KEY},
    "two keys in one bucket": {**ONE_BUCKET, **INPUT_KEY, **OUTPUT_KEY},
    "a company's rules on one bucket": {**ONE_BUCKET, **BOUNDARY, **PATH, **MAIL},
    "everything that was left": {**TABLE, **INPUT, **OUTPUT},
    "everything": {
        **TABLE, **ONE_BUCKET, **INPUT_KEY, **OUTPUT_KEY, **REPLACE, **BOUNDARY, **PATH, **MAIL,
        "MaxConcurrency": "20", "CallbackReservedConcurrency": "50", "Architecture": "x86_64", "Paused": "true",
    },
}  # fmt: skip
"""The parameters that differ from the defaults."""


def main(folder: Path) -> None:
    """Write what each deploys, with the reasons that the template gives for what the policies find."""
    stack = read_stack()
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in COMBINATIONS.items():
        made = stack.given(**values).deployed
        for logical_id, resource in made["Resources"].items():
            metadata = stack.deployed["Resources"][logical_id].get("Metadata")
            if metadata is not None:
                resource["Metadata"] = metadata
        types = {one["Type"] for one in made["Resources"].values()} | set(made["Resources"])
        accepted = stack.deployed["Metadata"]["AcceptedFindings"]
        made["Metadata"] = {"AcceptedFindings": {one: why for one, why in accepted.items() if one in types}}
        (folder / f"{name.replace(' ', '-')}.json").write_text(json.dumps(made, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
