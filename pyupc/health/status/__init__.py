"""Status for health checks: of the database, and of the folder of a tick."""
