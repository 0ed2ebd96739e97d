"""People with rights of their own in the account of a local stack that checks every permission."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from local.stack.stack import Stack


@dataclass(frozen=True)
class Person:
    """Somebody with an access key."""

    session: boto3.Session
    endpoint_url: str
    verify: str | bool

    def client(self, service: str) -> Any:
        """A client that acts as this person."""
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        create: Any = self.session.client
        return create(service, endpoint_url=self.endpoint_url, config=config, verify=self.verify)

    def may(self, service: str, call: Callable[[Any], Any]) -> bool:
        """Whether a call is allowed; what it leads to otherwise does not count."""
        with closing(self.client(service)) as client:
            try:
                call(client)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                return not (status == 403 or "AccessDenied" in code)
        return True


@contextmanager
def person(stack: Stack, name: str, *policies: str) -> Iterator[Person]:
    """A user who has these managed policies and nothing else."""
    with closing(stack.client("iam")) as iam:
        iam.create_user(UserName=name)
        for arn in policies:
            iam.attach_user_policy(UserName=name, PolicyArn=arn)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        env = stack.env
        session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=env["AWS_REGION"])
        yield Person(session, env["AWS_ENDPOINT_URL"], env.get("AWS_CA_BUNDLE", True))
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
        for arn in policies:
            iam.detach_user_policy(UserName=name, PolicyArn=arn)
        iam.delete_user(UserName=name)
