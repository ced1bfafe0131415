"""Shared by all commands: options, output, columns, logs, spans of time, errors to exit codes."""
