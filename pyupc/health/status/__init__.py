"""The status as a health check asks for it: of the database, and of the folder of a tick."""
