"""Metrics and benches."""
