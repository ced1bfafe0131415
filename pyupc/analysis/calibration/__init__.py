"""Live probabilities and edges beside what happened, as the database scores them."""
