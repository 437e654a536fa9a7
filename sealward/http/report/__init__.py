"""The report of servers that are false or unknown: grouped as JSON, or a row for each finding as CSV."""
