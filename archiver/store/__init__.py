"""The object store, by boto3: objects, multipart uploads, and the schemas beside the archives."""
