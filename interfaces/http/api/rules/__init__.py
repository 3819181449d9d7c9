"""Routes for automation rules and dry runs."""
