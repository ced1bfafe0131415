"""Settings: a file `config.toml`, overruled by variables PYUPC_*, overruled by flags."""
