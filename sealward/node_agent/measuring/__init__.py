"""From domain XML to digests, evidence and findings."""
