"""Webhooks: events sent to the URLs of others, as the Standard Webhooks specification says."""
