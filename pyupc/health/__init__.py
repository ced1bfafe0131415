"""Health: the status of a running system, and the doctor that looks for causes."""
