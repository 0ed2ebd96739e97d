"""The floor: what every Python function pays that uses S3 and talks HTTP with the packages that most use."""

import boto3
import httpx

s3 = boto3.client("s3")
http = httpx.Client()
