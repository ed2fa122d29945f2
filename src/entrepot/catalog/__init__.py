"""Facts: SQLAlchemy Core, one schema for SQLite and PostgreSQL, migrations, and the algorithms on them."""
