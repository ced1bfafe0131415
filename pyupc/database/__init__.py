"""The database: connections, the schema and its upgrades, rights, rules."""
