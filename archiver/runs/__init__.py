"""Complete operations: archive, restore, monthly activity, purges, and the upkeep of stored archives."""
