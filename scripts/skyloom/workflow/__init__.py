"""What the Snakefile needs to know: which code a job depends on, and what to say at the end."""
