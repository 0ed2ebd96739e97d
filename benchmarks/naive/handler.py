"""The usual function: everything that Powertools offers for such a job, imported and made at module level."""

import boto3
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parser import BaseModel
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel
from aws_lambda_powertools.utilities.validation import validator


class Upload(BaseModel):
    """What an upload says."""

    key: str
    version_id: str | None = None


class UploadEvent(EventBridgeModel):
    """The event around it."""

    detail: Upload


logger = Logger()
metrics = Metrics()
tracer = Tracer(disabled=True)
resolver = APIGatewayHttpResolver(enable_validation=True)
processor = BatchProcessor(event_type=EventType.SQS)
persistence = DynamoDBPersistenceLayer(table_name="idempotency")
idempotency = IdempotencyConfig(event_key_jmespath="id")
secrets = SecretsProvider()
validate = validator
s3 = boto3.client("s3")
bucket = boto3.resource("s3").Bucket("photos")
table = boto3.resource("dynamodb").Table("jobs")
queue = boto3.client("sqs")
