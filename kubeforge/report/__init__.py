"""What people and programs see of a run: the console, JSON lines, plans and results as text. Decides nothing."""
