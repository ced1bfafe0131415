"""What a pyupc that does not do what it should is asked first: a line a check."""
