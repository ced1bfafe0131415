"""Paper trading: what is suggested is bought in a ledger, and nowhere else."""
