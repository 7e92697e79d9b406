"""The plan of a batch on a Ray cluster: photos described by actors, faces in shared storage, pairs joined in shards."""
