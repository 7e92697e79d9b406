"""How an answer is printed: one file a format, each `write(answer, stream)`, byte for byte as AWS CLI version 2 prints
it."""
