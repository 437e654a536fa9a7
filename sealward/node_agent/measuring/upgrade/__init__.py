"""References of an earlier profile under the profile in force."""
