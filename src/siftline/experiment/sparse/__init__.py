"""Sparse models side by side: what they find in judged collections, and what that costs."""
