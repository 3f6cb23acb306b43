"""What users and hosts see of the cache: its promises, outages, foreign values, connections, lives."""
