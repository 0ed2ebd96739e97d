"""The floor: what every Python function that uses S3 has to pay for."""

import boto3

s3 = boto3.client("s3")
