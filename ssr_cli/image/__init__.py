"""Decoding, encoding and colour."""
