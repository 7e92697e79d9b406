"""S3Object references → bytes: from any S3, or from a folder that stands for a bucket."""
