"""Studies: variants times paired seeds, from the plan to the verdict."""
