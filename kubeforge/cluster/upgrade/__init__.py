"""What an upgrade would meet and do: facts, and what they mean."""
