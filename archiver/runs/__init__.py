"""What people ask for, from begin to end: archive, restore, a month, a purge, and archives through the years."""
