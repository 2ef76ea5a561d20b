"""What runs a study: a file each."""
