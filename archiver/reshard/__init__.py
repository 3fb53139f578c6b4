"""Move tenants from one shard to another and back, as archives, with ids that no other row has or will have."""
