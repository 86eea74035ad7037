"""Read-only questions with a name, asked of a running cluster from where its users stand. They change nothing."""
