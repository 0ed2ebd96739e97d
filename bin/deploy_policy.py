"""Write, or check, docs/deploy-policy.json: what a role needs in IAM to deploy and to delete a stack named `detag`.

    .venv/sam/bin/python bin/deploy_policy.py .build/transformed.json [--check]

CloudFormation makes each resource with the rights of whoever deploys. What it calls for a type of resource stands in
AWS's own schema of that type, as cfn-lint carries it: `handlers.*.permissions`. `UNUSED` takes out what serves only
properties that the template does not set. Each right ends at what bears the stack's name, where a resource has a name.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

POLICY: Final = Path(__file__).resolve().parents[1] / "docs/deploy-policy.json"
MOST: Final = 10_240
"""Characters, blanks not counted, in the policies that stand in a role itself (IAM quotas)."""

HERE: Final = "arn:aws:{service}:REGION:ACCOUNT:"
RESOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "apigateway": ("arn:aws:apigateway:REGION::/apis*", "arn:aws:apigateway:REGION::/tags/*"),
    "cloudwatch": (HERE + "alarm:detag-*",),
    "dynamodb": (HERE + "table/detag-*",),
    "events": (HERE + "rule/detag-*",),
    "iam": ("arn:aws:iam::ACCOUNT:role/detag-*", "arn:aws:iam::ACCOUNT:policy/detag-*"),
    "kms": ("*",),
    "lambda": (
        HERE + "function:detag-*",
        HERE + "layer:DetagLayer*",
        HERE + "layer:DependenciesLayer*",
        HERE + "event-source-mapping:*",
    ),
    "logs": (HERE + "log-group:detag-*", HERE + "log-group:/aws/vendedlogs/detag/*"),
    "s3": ("arn:aws:s3:::detag-*",),
    "secretsmanager": (HERE + "secret:RunflowApiKey-*", HERE + "secret:CallbackSecrets-*"),
    "sns": (HERE + "detag-*",),
    "sqs": (HERE + "detag-*",),
}
"""Of every service that the template has resources of. A key, an API and an event source have no name of their own."""

EVERYWHERE: Final = (
    "cloudwatch:DescribeAlarms",
    "lambda:CreateEventSourceMapping",
    "lambda:GetEventSourceMapping",
    "logs:.*LogDelivery",
    "logs:Describe.*",
    "logs:PutResourcePolicy",
    "secretsmanager:GetRandomPassword",
)
"""What AWS lets nobody limit to one resource (its service authorization reference)."""

UNUSED: Final[Mapping[str, str]] = {
    "tables in several Regions, imported, streamed or with a policy": (
        r"dynamodb:(.*Replica|.*Import.*|(En|Dis)able.*|.*KinesisStreaming.*|(Put|Delete)ResourcePolicy|.*Item|Query|Scan"
        r"|UpdateContributorInsights)"
    ),
    "groups, users, roles of services": r"iam:(.*(Group|User)Policy|CreateServiceLinkedRole|ListEntitiesForPolicy)",
    "what others encrypt with a key": r"kms:(CreateGrant|RevokeGrant|Decrypt|Encrypt|GenerateDataKey|ListAliases)",
    "signed code, own capacity, pinned runtimes": (
        r"lambda:((Put|Delete).*(CodeSigning|Recursion|Scaling|RuntimeManagement).*|PassCapacityProvider|GetCodeSigningConfig"
        r"|AssociateRuntimeAlias)"
    ),
    "log groups with a key, masking or an index of their own; log lines": (
        r"logs:(.*KmsKey|(Put|Delete)(DataProtection|Index)Policy|PutBearer.*|PutLogGroupDeletion.*|CreateLogStream"
        r"|PutLogEvents|DeleteResourcePolicy)"
    ),
    "buckets that serve pages, replicate, list or analyse themselves; objects": (
        r"s3:((Put|Delete|Create|Update).*(Accelerate|Analytics|Abac|Cors|CORS|Website|Replication|MetadataTable|Metrics"
        r"|IntelligentTiering|Inventory|Metadata.*|ObjectLock.*)(Configuration)?|PutBucket(Acl|Logging)|.*Object(Version|Acl"
        r"|Metadata)?|REST.*|UpdateBucketMetadata.*)"
    ),
    "secrets in several Regions": r"secretsmanager:(ReplicateSecretToRegions|RemoveRegionsFromReplication)",
    "the secrets themselves, which whoever deploys need not see": r"secretsmanager:GetSecretValue",
    "topics that mask what they send": r"sns:PutDataProtectionPolicy",
}

SAM: Final = [
    {
        "Sid": "Stacks",
        "Effect": "Allow",
        "Action": "cloudformation:*",
        "Resource": [
            "arn:aws:cloudformation:REGION:ACCOUNT:stack/detag/*",
            "arn:aws:cloudformation:REGION:ACCOUNT:stack/aws-sam-cli-managed-default/*",
            "arn:aws:cloudformation:REGION:aws:transform/Serverless-2016-10-31",
        ],
    },
    {
        "Sid": "Templates",
        "Effect": "Allow",
        "Action": ["cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate"],
        "Resource": "*",
    },
    {
        "Sid": "Packages",
        "Effect": "Allow",
        "Action": "s3:*",
        "Resource": "arn:aws:s3:::aws-sam-cli-managed-default-*",
    },
]
"""The stack itself, and the bucket that `sam deploy` makes for packages (or another: `--s3-bucket`)."""


def called(types: Iterable[str]) -> set[str]:
    """The actions that CloudFormation may call for resources of these types, as their schemas have them."""
    return {
        action
        for one in types
        for name, handler in PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", one).schema["handlers"].items()
        if name != "list"
        for action in handler.get("permissions", [])
    }


def policy(template: Mapping[str, Any]) -> dict[str, Any]:
    """The policy for a template after the SAM transform. ValueError where it has nothing of a service."""
    types = {resource["Type"] for resource in template["Resources"].values()}
    unused = re.compile("|".join(UNUSED.values()))
    actions = {action for action in called(types) if not unused.fullmatch(action)}
    actions = {action for action in actions if action.partition(":")[0] in RESOURCES}
    everywhere = {action for action in actions if re.fullmatch("|".join(EVERYWHERE), action)}
    statements = [_statement("Everywhere", everywhere, ("*",))]
    for service, resources in RESOURCES.items():
        mine = {action for action in actions - everywhere if action.startswith(f"{service}:")}
        if not mine:
            raise ValueError(f"the template has nothing of {service}")
        statements.append(_statement(service.capitalize(), mine, resources))
    return {"Version": "2012-10-17", "Statement": [*SAM, *statements]}


def _statement(sid: str, actions: Iterable[str], resources: tuple[str, ...]) -> dict[str, Any]:
    services = {action.partition(":")[0] for action in actions}
    named = [one.format(service=service) for one in resources for service in sorted(services)]
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(dict.fromkeys(named))}


def main(source: str, *options: str) -> int:
    """Write the policy, or say that the one that is there is stale. Exit status."""
    made = policy(json.loads(Path(source).read_text(encoding="utf-8")))
    size = len(json.dumps(made, separators=(",", ":")))
    if size > MOST:
        raise ValueError(f"the policy has {size:,} characters; a role takes {MOST:,}")
    text = json.dumps(made, indent=2) + "\n"
    if "--check" not in options:
        POLICY.write_text(text, encoding="utf-8")
        return 0
    if POLICY.read_text(encoding="utf-8") != text:
        print(f"{POLICY.name} is not what the template needs: make generate", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
