"""The door to psycopg2: sessions, schemas, locks, triggers, tenants, and the archiver's own tables."""
