"""Many pairs of photos: each photo described once, the comparisons done in blocks, the run resumed where it stopped.

table or folders ──pairs──▶ rows ──plan──▶ distinct photos ──engine──▶ face store
                            rows + face store ──scoring──▶ records ──shards──▶ output, review
"""
