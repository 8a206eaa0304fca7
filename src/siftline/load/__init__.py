"""Load on an HTTP server: clients that ask, and how long the answers took. Knows no engine."""
