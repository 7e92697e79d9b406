"""Decoding of photos in sandboxed processes."""
