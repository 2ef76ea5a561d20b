"""Techniques that drop into anybody's PyTorch loop, one file each; they need torch only."""
