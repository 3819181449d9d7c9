"""The native API under ``/v1``, one package per resource."""
