"""HTTP interface: ingest in the SDKs' wire formats, and the native API under ``/v1``."""
