"""Machinery that the processes share: stopping, clocks, connections that are watched, logs."""
