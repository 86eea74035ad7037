"""One module per inventory format; each fills a `Draft`."""
