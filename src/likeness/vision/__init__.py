"""The steps of the pipeline on pixels and arrays, one per file."""
