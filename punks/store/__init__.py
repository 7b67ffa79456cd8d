"""Results kept in a database that one can query. The folder is the truth; the database catches up with it."""
