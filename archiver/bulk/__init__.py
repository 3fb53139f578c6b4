"""Many tenants at once: a fixed number of passes over each table, however many they are."""
