"""What every call of the API has in common: its description, parameters, bodies, answers and errors."""
