"""HTTP: ingest in the dialects that SDKs speak, and the native queries under ``/v1``."""
