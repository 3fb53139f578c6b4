"""Space given back: bloat measured, tables rewritten, stray tables and feeds dropped."""
