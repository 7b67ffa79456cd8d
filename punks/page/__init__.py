"""The local page: choose, paint, finish and keep punks in a browser."""
