"""Everything that knows SQL. SQLite is the embedded default, PostgreSQL the production store."""
