"""Settings: config.toml, overridden by variables PYUPC_*, overridden by flags."""
