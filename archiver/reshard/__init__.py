"""Tenants from one shard to another, and back: by an archive, with ids that no other row has or will have."""
