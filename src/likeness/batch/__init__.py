"""Many pairs of photos: each photo is analysed once, pairs are compared in blocks, an interrupted run resumes.

table or folders ──pairs──▶ rows ──plan──▶ distinct photos ──engine──▶ face store
                            rows + face store ──scoring──▶ records ──shards──▶ output, review
"""
