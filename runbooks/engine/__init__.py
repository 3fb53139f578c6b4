"""How any checklist runs; knows no checklist."""
