"""The common parts of all calls of the API: description, parameters, bodies, answers and errors."""
