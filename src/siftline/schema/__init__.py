"""The application package as objects: schemas, services, settings."""
